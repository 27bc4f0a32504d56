import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { corpus, saveTinyModel, temporaryFolder } from './support/tiny.js';

const command = fileURLToPath(new URL('../bin/frugal.js', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../dist/main.js', import.meta.url)));
const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

beforeEach((context) => {
  if (!built) context.skip('the package is not built');
});

beforeAll(async () => {
  await saveTinyModel(at('model'));
  await writeFile(at('text.jsonl'), corpus.map((text) => `${JSON.stringify({ text })}\n`).join(''));
});

/** Runs the command in a process of its own; with `save` it is killed at that of its saves. */
async function run(args: readonly string[], save?: { readonly number: number; readonly when: string }) {
  const preload = save ? ['--import', new URL('./support/killed-at-save.mjs', import.meta.url).href] : [];
  const env = save && { KILLED_AT_SAVE: String(save.number), KILLED_WHEN: save.when };
  const child = spawn(process.execPath, [...preload, command, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  children.push(child);
  let err = '';
  child.stderr.on('data', (data) => {
    err += data;
  });
  await new Promise<void>((resolve) => child.once('close', () => resolve()));
  return { code: child.exitCode, wasKilled: child.signalCode === 'SIGKILL', err };
}

const contents = async (name: string) => {
  const files = (await readdir(at(name))).filter((file) => /\.(safetensors|json)$/.test(file)).sort();
  expect(files).toContain('model.safetensors');
  return Promise.all(files.map(async (file) => [file, await readFile(at(join(name, file)), 'base64')]));
};

describe('compression that is killed with kill -9, again and again', () => {
  it.each([
    ['a search for a size', ['--target-size', '20kB', '--validation-tokens', '100'], [3, 2, 4, 2, 3]],
    ['a search for a loss', ['--max-loss', '0.02%', '--validation-tokens', '100'], [5, 2, 8, 1, 4]],
    ['int4 by GPTQ', ['--recipe', 'int4-gptq'], [2, 1, 2, 2, 1]],
    ['int8', ['--recipe', 'w8a8'], [2, 1, 2, 2, 1]],
  ] as const)('%s ends with the same bytes', { timeout: 120_000 }, async (title, options, saves) => {
    const texts = ['--calibration', at('text.jsonl'), '--calibration-tokens', '300'];
    const name = title.replaceAll(' ', '-');
    const argsFor = (out: string) => ['compress', at('model'), '--out', at(out), ...texts, ...options];
    const whole = await run(argsFor(`${name}-whole`));
    expect([whole.code, whole.err]).toEqual([0, expect.any(String)]);
    const out = `${name}-killed`;
    for (const [kill, number] of saves.entries()) {
      const save = { number, when: kill % 2 ? 'before' : 'after' };
      const { wasKilled } = await run([...argsFor(out), '--resume'], save);
      expect(wasKilled).toBe(true);
      expect(existsSync(at(out))).toBe(false);
    }
    const { code, err } = await run([...argsFor(out), '--resume']);
    expect([code, err]).toEqual([0, expect.any(String)]);
    expect(await contents(out)).toEqual(await contents(`${name}-whole`));
  });
});
