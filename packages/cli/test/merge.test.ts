import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openGguf } from '@frugal/checkpoint';
import { attachAdapters, saveAdapter } from '@frugal/lora';
import { huggingFaceNames, loadModel } from '@frugal/models';
import { noGrad, Random, scope } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const base = await saveTinyModel(at('base'));
const second = await saveTinyModel(at('second'), tinyConfig, 2);
await writeFile(at('text.txt'), corpus.join('\n'));

async function makeAdapter(name: string, seed: number, strength = 1): Promise<string> {
  const model = await loadModel(base);
  const set = attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: 2, seed });
  const random = new Random(seed);
  for (const { up } of set.layers.values())
    up.value = noGrad(() => scope(() => random.normal([...up.shape]).mul(strength)));
  await saveAdapter(set, at(name), { names: huggingFaceNames(model.config) });
  return at(name);
}
const [a, b] = [await makeAdapter('a', 1), await makeAdapter('b', 2)];

async function run(...args: string[]) {
  const { code, out, err } = await frugal([...args, '--json']);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}
const logits = async (...args: string[]): Promise<number[]> =>
  (await run('logits', ...args, '--ids', '5,6,7,8')).logits.flat();

describe('merge', () => {
  it('puts an adapter into a model', async () => {
    await run('merge', base, '--adapter', a, '--out', at('merged'));
    close(await logits(at('merged')), await logits(base, '--adapter', a), 2e-5);
    const manifest = JSON.parse(await readFile(at('merged/frugal.json'), 'utf8'));
    expect(manifest).toMatchObject({
      kind: 'merge',
      sources: [{ role: 'base' }, { role: 'adapter', name: a }],
    });
  });

  it('makes one adapter of several: the exact sum', async () => {
    const weights = ['--weights', '0.75', '-0.5'];
    await run('merge', base, '--adapter', a, b, ...weights, '--as-adapter', '--out', at('sum'));
    expect(JSON.parse(await readFile(at('sum/adapter_config.json'), 'utf8'))).toMatchObject({
      r: 4,
      lora_alpha: 4,
    });
    await run('merge', base, '--adapter', a, b, ...weights, '--out', at('summed'));
    close(await logits(base, '--adapter', at('sum')), await logits(at('summed')), 2e-5);
  });

  it('writes an adapter for llama.cpp', async () => {
    await run('merge', base, '--adapter', a, '--as-adapter', '--out', at('a.gguf'));
    const gguf = await openGguf(at('a.gguf'));
    expect(gguf.metadata.get('general.type')).toBe('adapter');
    expect(gguf.entries.size).toBe(2 * 2 * 7);
    await gguf.close();
  });

  it('measures what is kept in packed weights, and refuses when the tuning is lost', async () => {
    await run('quantize', base, '--recipe', 'int8', '--calibration', at('text.txt'), '--out', at('packed'));
    const merge = (adapter: string, out: string, ...more: string[]) => [
      'merge',
      at('packed'),
      '--adapter',
      adapter,
      '--out',
      at(out),
      ...more,
    ];
    const text = ['--text', at('text.txt')];
    const { measured } = await run(...merge(a, 'packed-merged', ...text));
    expect(measured.kept).toBeGreaterThan(0.9);
    close(await logits(at('packed-merged')), await logits(at('packed'), '--adapter', a), 0.1);
    const blind = await frugal(merge(a, 'blind'));
    expect([blind.code, blind.err]).toEqual([1, expect.stringMatching(/weights are packed.*--text/)]);
    const weak = await makeAdapter('weak', 3, 1e-4);
    const lost = await frugal(merge(weak, 'lost', ...text));
    expect([lost.code, lost.err]).toEqual([
      1,
      expect.stringMatching(/loses the tuning.*% of the effect kept/),
    ]);
    expect(existsSync(at('lost'))).toBe(false);
    expect((await run(...merge(weak, 'lost', ...text, '--min-kept', '-1'))).measured.kept).toBeLessThan(0.8);
    expect(existsSync(at('lost/config.json'))).toBe(true);
  });

  it('makes one model of several', async () => {
    await run('merge', base, second, '--weights', '1', '3', '--out', at('mean'));
    const [mean, one, two] = await Promise.all(
      [at('mean'), base, second].map(async (path) => {
        const model = await loadModel(path);
        return model.parameters()[3].value.toFloat32();
      }),
    );
    close(
      [...mean],
      [...one].map((value, i) => value / 4 + (3 * two[i]) / 4),
      1e-6,
    );
    const ties = ['--method', 'dare_ties', '--base', base, '--density', '0.4'];
    expect(await run('merge', at('mean'), second, ...ties, '--out', at('ties'))).toMatchObject({
      weights: [0.5, 0.5],
    });
    expect(
      await run('merge', base, second, '--method', 'slerp', '--out', at('arc'), '--dry-run'),
    ).toMatchObject({ method: 'slerp' });
    expect(existsSync(at('arc'))).toBe(false);
  });

  it('lists what does not fit', async () => {
    const short = await saveTinyModel(at('short'), { ...tinyConfig, num_hidden_layers: 1 });
    const other = await saveTinyModel(at('other'), tinyConfig, 1, ['another text for the tokenizer']);
    const refused = async (...args: string[]) => {
      const { code, err } = await frugal(['merge', ...args, '--out', at('none')]);
      expect(existsSync(at('none'))).toBe(false);
      return `${code} ${err}`;
    };
    expect(await refused(base, short)).toMatch(/^1 .*blocks\.1\.mlp\.down.* and nothing in model 2/);
    expect(await refused(base, other)).toMatch(/^1 .*different tokenizers/);
    expect(await refused(short, '--adapter', a)).toMatch(/^1 .*layers\.1\.mlp\.down_proj is no linear layer/);
    expect(await refused(base, second, '--method', 'ties')).toMatch(/^1 .*ties needs the base/);
    expect(await refused(base)).toMatch(/^2 .*nothing to merge/);
    expect(await refused(base, second, '--method', 'cat')).toMatch(/^2 .*not for models/);
    expect(await refused(base, second, '--weights', '1')).toMatch(/^2 .*2 numbers/);
  });
});

function close(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  for (const [i, value] of actual.entries())
    expect(Math.abs(value - expected[i])).toBeLessThan(tolerance * scale);
}
