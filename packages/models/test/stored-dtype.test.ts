import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@frugal/checkpoint';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, expect, it } from 'vitest';
import { kindOf, loadModel, saveModel } from '../src/index.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures/families', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'frugal-dtype-'));
afterAll(() => rm(folder, { recursive: true }));

async function isDecoder(name: string): Promise<boolean> {
  const { config, close } = await openCheckpoint(join(fixtures, name));
  await close();
  return kindOf(config) === 'decoder';
}
const entries = await readdir(fixtures, { withFileTypes: true });
const directories = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
const names = (
  await Promise.all(directories.map(async (name) => ((await isDecoder(name)) ? [name] : [])))
).flat();

function logits(model: CausalLM): Promise<Float32Array> {
  const { vocabularySize } = model;
  const batch = stepBatch([[3, 1, 4, 1, 5].map((id) => id % vocabularySize)], { vocabularySize });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

it.each(names)('%s: matrices that stay bf16 give the bits of f32', async (name) => {
  const path = join(folder, name);
  await saveModel(await loadModel(join(fixtures, name)), path, { dtype: 'bf16' });
  const model = await loadModel(path, { dtype: 'stored' });
  expect(model.computeDType).toBe('f32');
  expect(await logits(model)).toEqual(await logits(await loadModel(path)));
});

it('a matrix keeps its dtype, a vector is widened', async () => {
  const path = join(folder, 'dtypes');
  await saveModel(await loadModel(join(fixtures, names[0])), path, { dtype: 'bf16' });
  const model = await loadModel(path, { dtype: 'stored' });
  for (const [, { value }] of model.namedParameters())
    expect(value.dtype).toBe(value.shape.length === 2 ? 'bf16' : 'f32');
});
