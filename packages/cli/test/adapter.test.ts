import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attachAdapters, saveAdapter } from '@frugal/lora';
import { huggingFaceNames, loadModel, saveModel } from '@frugal/models';
import { Random } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const path = await saveTinyModel(join(folder, 'model'));
const adapter = join(folder, 'adapter');
const merged = join(folder, 'merged');

const model = await loadModel(path);
const random = new Random(3);
const adapters = attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: 2 });
for (const { up } of adapters.layers.values()) up.value = random.normal([...up.shape]);
await saveAdapter(adapters, adapter, { names: huggingFaceNames(model.config) });
adapters.merge();
const tokenizerFiles = { 'tokenizer.json': await readFile(join(path, 'tokenizer.json')) };
await saveModel(model, merged, { tokenizerFiles });

async function run(...args: string[]) {
  const { code, out, err } = await frugal([...args, '--json']);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

it('logits with an adapter are those of the merged model', async () => {
  const logits = async (...args: string[]): Promise<number[]> =>
    (await run('logits', ...args, '--ids', '5,6,7')).logits.flat();
  const plain = await logits(path);
  const wanted = await logits(merged);
  const found = await logits(path, '--adapter', adapter);
  const difference = (a: number[]) => Math.max(...a.map((value, i) => Math.abs(value - wanted[i])));
  const scale = Math.max(...wanted.map(Math.abs));
  expect(difference(found)).toBeLessThan(2e-5 * scale);
  expect(difference(plain)).toBeGreaterThan(1e-2 * scale);
});

it('generates with an adapter as the merged model does', async () => {
  const ids = async (...args: string[]) =>
    (await run('generate', ...args, '--prompt', 'Fellow', '--max-tokens', '12')).ids;
  const found = await ids(path, '--adapter', adapter);
  expect(found).toEqual(await ids(merged));
  expect(found).not.toEqual(await ids(path));
});

it('refuses an adapter of another model', async () => {
  const other = await saveTinyModel(join(folder, 'other'), { ...(await readConfig()), num_hidden_layers: 1 });
  const { code, err } = await frugal(['logits', other, '--ids', '1', '--adapter', adapter]);
  expect([code, err]).toEqual([
    1,
    expect.stringContaining('layers.1.mlp.down_proj is no linear layer of this model'),
  ]);
});

async function readConfig() {
  return JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
}
