import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Interrupts } from '../src/interrupts.js';
import { type FrugalOptions, frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const weights = (name: string) => readFile(at(join(name, 'model.safetensors')));

beforeAll(async () => {
  await saveTinyModel(at('model'));
  await writeFile(at('text.jsonl'), corpus.map((text) => `${JSON.stringify({ text })}\n`).join(''));
});

/** Runs a search into the folder `out`. */
function search(out: string, args: readonly string[], options?: FrugalOptions) {
  const texts = [
    '--calibration',
    at('text.jsonl'),
    '--calibration-tokens',
    '300',
    '--validation-tokens',
    '100',
  ];
  return frugal(['compress', at('model'), '--out', at(out), ...texts, ...args], options);
}

describe('compress with a search', () => {
  it('fills the target, and leaves a recipe that gives the same bytes', async () => {
    const { code, out, err } = await search('small', ['--target-size', '20kB']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/mixed .*\n[\s\S]*chosen .*\n[\s\S]*perplexity: [\d.]+ → [\d.]+ \(/);
    const { size } = await stat(at('small/model.safetensors'));
    expect(size).toBeLessThanOrEqual(20_000);
    expect(size).toBeGreaterThanOrEqual(0.98 * 20_000);
    expect(await readFile(at('small/search.html'), 'utf8')).toContain('<svg');
    expect(existsSync(at('small.search.json'))).toBe(false);
  });

  it('leaves a model with its recipe and pages, or nothing: a kill at any point finds no half of it', async () => {
    let first: string[] | undefined;
    let isOver = false;
    const watch = () => {
      if (isOver) return;
      if (!first && existsSync(at('whole'))) first = readdirSync(at('whole'));
      setImmediate(watch);
    };
    watch();
    const { code } = await search('whole', ['--target-size', '20kB']);
    isOver = true;
    expect(code).toBe(0);
    expect(first?.sort()).toEqual((await readdir(at('whole'))).sort());
    const written = ['compression.html', 'frugal.json', 'model.safetensors', 'recipe.json', 'search.html'];
    expect(first).toEqual(expect.arrayContaining(written));
  });

  it('tries other shapes, tells what came of each, and writes what a recipe can repeat', async () => {
    const choices = ['--choices', 'sparsity', 'width', 'layers'];
    const { code, out, err } = await search('shaped', ['--target-size', '20kB', ...choices]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/all layers, full width/);
    expect(out).toMatch(/1 of 2 layers/);
    expect(out).toMatch(/MLPs 0\.75 times as wide/);
    expect(out).toMatch(/\(chosen\)/);
    expect((await stat(at('shaped/model.safetensors'))).size).toBeLessThanOrEqual(20_000);
    const wrong = await search('wrong', ['--target-size', '20kB', '--choices', 'depth']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/sparsity, width, layers/)]);
  });

  it('takes a limit of latency, and says when nothing is that fast', async () => {
    const { code, err } = await search('fast', ['--max-latency', '0.0001ms']);
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/no choice of formats is that fast.*recipes whose tokens take/),
    ]);
    const wrong = await search('fast', ['--max-latency', 'soon']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('8ms')]);
    const two = await search('fast', ['--max-latency', '8ms', '--max-loss', '2%']);
    expect([two.code, two.err]).toEqual([2, expect.stringContaining('one of them is needed')]);
    expect(existsSync(at('fast'))).toBe(false);
  });

  it('ends with the best so far at the first Ctrl-C', async () => {
    const interrupts = new Interrupts();
    const stop = new AbortController();
    let draws = 0;
    const onProgress = () => {
      draws++;
      if (draws === 12 && !interrupts.raise()) stop.abort();
    };
    const options = { interrupts, signal: stop.signal, onProgress };
    const { code, err } = await search('early', ['--target-size', '20kB'], options);
    expect([code, err]).toEqual([0, expect.stringContaining('Stopping with the best so far')]);
    const { size } = await stat(at('early/model.safetensors'));
    expect(size).toBeLessThanOrEqual(20_000);
    // Which layers were measured by then is a matter of time, and one step of a layer is up to 4 % of this model.
    expect(size).toBeGreaterThanOrEqual(0.95 * 20_000);
  });

  it('goes on with --resume after Ctrl-C twice, and ends with the same bytes', async () => {
    const interrupts = new Interrupts();
    const stop = new AbortController();
    let draws = 0;
    const onProgress = () => {
      draws++;
      if (draws > 12 && !interrupts.raise()) stop.abort();
    };
    const stopped = await search('again', ['--target-size', '20kB'], {
      interrupts,
      signal: stop.signal,
      onProgress,
    });
    expect(stopped.code).not.toBe(0);
    expect(stopped.err).toContain('Stopping with the best so far');
    expect(existsSync(at('again'))).toBe(false);
    const { code } = await search('again', ['--target-size', '20kB', '--resume']);
    expect(code).toBe(0);
    expect(await weights('again')).toEqual(await weights('small'));
  });

  it.each([
    [[], 2, /one of them is needed: got 0/],
    [['--target-size', '20kB', '--max-loss', '2%'], 2, /one of them is needed: got 2/],
    [['--target-size', 'small'], 2, /Expected a size such as 60MB/],
    [['--max-loss', '-1'], 2, /Expected a share such as 2%/],
    [['--target-size', '20kB', '--dry-run'], 2, /has to measure/],
    [['--target-size', '2kB'], 1, /no choice of formats is that small/],
  ])('%j exits with %d and says why', async (args, expected, message) => {
    const { code, err } = await search('never', args);
    expect(err).toMatch(message);
    expect(code).toBe(expected);
    expect(existsSync(at('never'))).toBe(false);
  });

  it('refuses calibration text that is too short', async () => {
    await writeFile(at('short.txt'), 'So.');
    const args = ['compress', at('model'), '--out', at('never'), '--calibration', at('short.txt')];
    for (const what of [
      ['--target-size', '20kB'],
      ['--recipe', 'int4-gptq'],
      ['--recipe', 'int4-gptq', '--dry-run'],
    ]) {
      const { code, err } = await frugal([...args, ...what]);
      expect([code, err]).toEqual([1, expect.stringContaining('the text is too short')]);
    }
  });

  it('leaves a folder that exists alone', async () => {
    await mkdir(at('taken'));
    await writeFile(at('taken/notes.txt'), 'mine');
    for (const what of [
      ['--target-size', '20kB'],
      ['--recipe', 'int8'],
    ]) {
      const { code, err } = await search('taken', what);
      expect([code, err]).toEqual([1, expect.stringMatching(/taken.*--force/s)]);
    }
    expect(await readdir(at('taken'))).toEqual(['notes.txt']);
  });
});
