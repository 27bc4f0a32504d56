import { compress, type ModifierSpec, parseRecipe } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { magnitude, sparseGptPruning, wanda } from '@frugal/prune';
import { awq, ggufQuantization, gptqQuantization, roundToNearest, smoothQuant } from '@frugal/quant';
import { tensor } from '@frugal/tensor-core';
import type { Linear } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { tinyLlama } from './support/tiny-llama.js';
import { tokenSequences } from './support/token-sequences.js';

const bad = 'blocks.1.mlp.down';
const targets = { include: ['blocks.**'] };
const methods = [
  roundToNearest,
  gptqQuantization,
  ggufQuantization,
  awq,
  smoothQuant,
  magnitude,
  wanda,
  sparseGptPruning,
];

async function damaged(value: number) {
  const model = createModel(tinyLlama, { seed: 2 });
  const { weight } = model.module(bad) as Linear;
  const values = await weight.value.toFloat32();
  values[3 * 64 + 5] = value;
  weight.value = tensor(values, { shape: weight.shape });
  return model;
}

it.each<ModifierSpec>([
  { type: 'quant.rtn', targets, format: 'int4-g32' },
  { type: 'quant.rtn', targets, format: 'int8-channel' },
  { type: 'quant.rtn', targets, format: 'nf4' },
  { type: 'quant.gptq', targets, format: 'int4-g32' },
  { type: 'quant.gguf', targets, format: 'q4_0' },
  { type: 'quant.awq', targets, groupSize: 32 },
  { type: 'quant.smooth', targets },
  { type: 'prune.magnitude', targets, sparsity: 0.5 },
  { type: 'prune.wanda', targets, sparsity: 0.5 },
  { type: 'prune.sparsegpt', targets, sparsity: '2:4' },
])('$type refuses a weight that is not finite, by its name: $format', async (spec) => {
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'one', modifiers: [spec] }] });
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const run = compress(await damaged(value), recipe, { methods, calibration: tokenSequences(4, 40, 50) });
    const where = 'the weight of blocks\\.1\\.mlp\\.down is not finite in row 3, column 5';
    await expect(run).rejects.toThrow(new RegExp(where));
  }
});
