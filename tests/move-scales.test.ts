import { compress, type ModifierSpec, parseRecipe } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { awq, roundToNearest, smoothQuant } from '@frugal/quant';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, type Linear, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { tokenSequences } from './support/token-sequences.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 50,
  tie_word_embeddings: true,
};

const sequences = tokenSequences(6, 24, 50);

/** A model one of whose neurons says everything a hundred times as loud, and is heard a hundredth. */
function withLoudNeuron(): CausalLM {
  const model = createModel(config, { seed: 4 });
  const loud = Float32Array.from({ length: config.intermediate_size }, (_, i) => (i === 5 ? 100 : 1));
  for (const i of model.blocks.keys()) {
    const up = model.module(`blocks.${i}.mlp.up`) as Linear;
    up.weight.value = noGrad(() => scope(() => up.weight.value.mul(tensor(loud).reshape(-1, 1))));
    (model.module(`blocks.${i}.mlp.down`) as Linear).scaleColumns(tensor(loud.map((factor) => 1 / factor)));
  }
  return model;
}

async function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch(sequences, { vocabularySize: config.vocab_size });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

function distance(a: Float32Array, b: Float32Array): number {
  const squares = (of: (i: number) => number) => b.reduce((sum, _, i) => sum + of(i) ** 2, 0);
  return Math.sqrt(squares((i) => a[i] - b[i]) / squares((i) => b[i]));
}

async function after(...modifiers: ModifierSpec[]): Promise<Float32Array> {
  const stages = modifiers.map((spec, i) => ({ name: `stage-${i}`, modifiers: [spec] }));
  const { model } = await compress(withLoudNeuron(), parseRecipe({ version: 1, seed: 0, stages }), {
    methods: [smoothQuant, awq, roundToNearest],
    calibration: sequences,
  });
  return logits(model);
}

const mlps = { include: ['blocks.*.mlp'] };
const w8a8: ModifierSpec = {
  type: 'quant.rtn',
  targets: { include: ['blocks.**'] },
  format: 'int8-channel',
  activation: 'int8',
};

describe('scales that move through a gated MLP', () => {
  it.each([
    { type: 'quant.smooth', targets: mlps },
    { type: 'quant.awq', targets: mlps, groupSize: 32 },
  ])('$type changes nothing by itself', async (spec) => {
    expect(distance(await after(spec), await logits(withLoudNeuron()))).toBeLessThan(1e-5);
  });

  it('keep a loud neuron from drowning the others when activations are rounded', async () => {
    const dense = await logits(withLoudNeuron());
    const plain = distance(await after(w8a8), dense);
    const smooth = distance(await after({ type: 'quant.smooth', targets: mlps }, w8a8), dense);
    expect(smooth).toBeLessThan(plain / 2);
  });

  it('refuse layers that are packed already', async () => {
    await expect(after(w8a8, { type: 'quant.smooth', targets: mlps })).rejects.toThrow(
      /move scales before quantising/,
    );
  });
});
