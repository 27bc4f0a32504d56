import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { corpus, saveTinyModel, temporaryFolder } from './support/tiny.js';

const command = fileURLToPath(new URL('../bin/frugal.js', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../dist/main.js', import.meta.url)));
const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

const KILLS = 5;

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

/** Runs the command in a process of its own, and kills it when `isEnough` says so. */
async function run(args: readonly string[], isEnough: () => boolean) {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  let err = '';
  child.stderr.on('data', (data) => {
    err += data;
  });
  const watch = setInterval(() => isEnough() && child.kill('SIGKILL'), 1);
  await new Promise<void>((resolve) => child.once('close', () => resolve()));
  clearInterval(watch);
  return { code: child.exitCode, wasKilled: child.signalCode === 'SIGKILL', err };
}

/** Counts how often one of some files is replaced. */
function changesOf(files: () => readonly string[]): () => number {
  const seen = new Set<string>();
  const known = () =>
    files().flatMap((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found ? [`${file} ${found.ino} ${found.mtimeMs}`] : [];
    });
  const before = new Set(known());
  return () => {
    for (const each of known()) if (!before.has(each)) seen.add(each);
    return seen.size;
  };
}

const contents = async (name: string) => {
  const files = (await readdir(at(name))).filter((file) => /\.(safetensors|json)$/.test(file)).sort();
  expect(files).toContain('model.safetensors');
  return Promise.all(files.map(async (file) => [file, await readFile(at(join(name, file)), 'base64')]));
};

describe('compression that is killed with kill -9, again and again', () => {
  it.each([
    ['a search for a size', ['--target-size', '20kB', '--validation-tokens', '100'], 7],
    ['a search for a loss', ['--max-loss', '0.02%', '--validation-tokens', '100'], 7],
    ['int4 by GPTQ', ['--recipe', 'int4-gptq'], 3],
    ['int8', ['--recipe', 'w8a8'], 3],
  ] as const)('%s ends with the same bytes', { timeout: 120_000 }, async (title, options, mostSaves) => {
    const texts = ['--calibration', at('text.jsonl'), '--calibration-tokens', '300'];
    const name = title.replaceAll(' ', '-');
    const argsFor = (out: string) => ['compress', at('model'), '--out', at(out), ...texts, ...options];
    const whole = await run(argsFor(`${name}-whole`), () => false);
    expect([whole.code, whole.err]).toEqual([0, expect.any(String)]);
    const out = `${name}-killed`;
    const unfinished = `${at(out)}.unfinished`;
    const progress = () => [
      `${at(out)}.search.json`,
      ...(existsSync(unfinished) ? readdirSync(unfinished).map((file) => join(unfinished, file)) : []),
    ];
    const seed = 1 + title.length;
    for (let kill = 0; kill < KILLS; kill++) {
      const saves = 2 + ((Math.imul(seed + kill, 2654435761) >>> 16) % mostSaves);
      const changes = changesOf(progress);
      const { wasKilled } = await run([...argsFor(out), '--resume'], () => changes() >= saves);
      expect(wasKilled).toBe(true);
      expect(existsSync(at(out))).toBe(false);
    }
    const { code, err } = await run([...argsFor(out), '--resume'], () => false);
    expect([code, err]).toEqual([0, expect.any(String)]);
    expect(await contents(out)).toEqual(await contents(`${name}-whole`));
  });
});
