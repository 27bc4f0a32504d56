import { createModel } from '@frugal/models';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, type Linear, stepBatch } from '@frugal/tensor-core/nn';
import { tinyLlama } from './tiny-llama.js';
import { tokenSequences } from './token-sequences.js';

const config = { ...tinyLlama, tie_word_embeddings: true };

export const sequences = tokenSequences(6, 24, 50);

/** A model one of whose neurons says everything a hundred times as loud, and is heard a hundredth. */
export function withLoudNeuron(): CausalLM {
  const model = createModel(config, { seed: 4 });
  const loud = Float32Array.from({ length: config.intermediate_size }, (_, i) => (i === 5 ? 100 : 1));
  for (const i of model.blocks.keys()) {
    const up = model.module(`blocks.${i}.mlp.up`) as Linear;
    up.weight.value = noGrad(() => scope(() => up.weight.value.mul(tensor(loud).reshape(-1, 1))));
    (model.module(`blocks.${i}.mlp.down`) as Linear).scaleColumns(tensor(loud.map((factor) => 1 / factor)));
  }
  return model;
}

/** Of {@link sequences}. */
export async function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch(sequences, { vocabularySize: config.vocab_size });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

/** ‖a - b‖ / ‖b‖. */
export function distance(a: Float32Array, b: Float32Array): number {
  const squares = (of: (i: number) => number) => b.reduce((sum, _, i) => sum + of(i) ** 2, 0);
  return Math.sqrt(squares((i) => a[i] - b[i]) / squares((i) => b[i]));
}
