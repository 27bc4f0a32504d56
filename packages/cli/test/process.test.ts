import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';

const command = fileURLToPath(new URL('../bin/frugal.js', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../dist/main.js', import.meta.url)));

function frugal(...args: string[]) {
  return spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });
}

describe('the built command', () => {
  beforeEach((context) => {
    if (!built) context.skip('the package is not built');
  });

  it.each([
    [['--version'], 0],
    [['inspect', 'nowhere'], 1],
    [['inspekt'], 2],
  ])('%j exits with %d', (args, code) => {
    const { status, stderr } = frugal(...args);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(status).toBe(code);
  });
});
