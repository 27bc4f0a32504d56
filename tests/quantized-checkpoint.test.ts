import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compress, parseRecipe } from '@frugal/compress';
import { loadModel, saveModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';

const fixtures = fileURLToPath(new URL('../oracles/fixtures', import.meta.url));

function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch([[1, 2, 3, 4]], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

it.each(['llama-tiny', 'llama-tied'])('%s is written and read back bit for bit, dense and packed', async (name) => {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-models-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const model = await loadModel(`${fixtures}/${name}`);
  const dense = await logits(model);
  await saveModel(model, join(directory, 'dense'));
  expect(await logits(await loadModel(join(directory, 'dense')))).toEqual(dense);

  const int8 = { type: 'quant.rtn', targets: { include: ['**'] }, format: 'int8-channel', activation: 'int8' };
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
  const { report } = await compress(model, recipe, { methods: [roundToNearest] });
  expect(report.bytesAfter).toBeLessThan(0.4 * report.bytesBefore);
  const quantized = await logits(model);
  await saveModel(model, join(directory, 'int8'));
  expect(await logits(await loadModel(join(directory, 'int8')))).toEqual(quantized);
  const error = Math.hypot(...quantized.map((value, i) => value - dense[i])) / Math.hypot(...dense);
  expect(error).toBeLessThan(0.05);
});
