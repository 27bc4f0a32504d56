import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const command = fileURLToPath(new URL('../bin/frugal.js', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../dist/main.js', import.meta.url)));

/** Prints the address of each module that is loaded. */
const LIST_MODULES = dataUrl(`
  import { register } from 'node:module';
  register(${JSON.stringify(
    dataUrl(`
      import { writeSync } from 'node:fs';
      export function load(url, context, next) {
        writeSync(2, url + '\\n');
        return next(url, context);
      }`),
  )});`);

function dataUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

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

  it('loads no method of compression and no library of schemas to generate text', async () => {
    const folder = await temporaryFolder();
    await saveTinyModel(folder);
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', LIST_MODULES, command, 'generate', folder, '--prompt', 'a', '--max-tokens', '1'],
      { encoding: 'utf8' },
    );
    expect(status).toBe(0);
    expect(stderr).toContain('/packages/models/'); // the list works
    expect(stderr).not.toMatch(/\/packages\/(lora|compress|quant|prune|distill|trainer|serve)\/|\/zod\//);
  });
});
