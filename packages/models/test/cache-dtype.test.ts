import { PackedTensor } from '@frugal/tensor-core';
import { defaultCacheDType } from '@frugal/tensor-core/generation';
import { type ActivationFormat, PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { createModel } from '../src/index.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 64,
};

/** A model with one packed layer. */
function packedModel(activation: ActivationFormat | null) {
  const model = createModel(config, { seed: 1 });
  const weight = PackedTensor.pack('q8_0', new Float32Array(32 * 32).fill(0.5), [32, 32]);
  model.replace('blocks.0.mlp.up', new PackedLinear(weight, { activation }));
  return model;
}

it.each([
  ['f32', null, 'f32'],
  ['f32', 'int8-block32', 'f16'],
  ['bf16', 'int8-block32', 'bf16'],
] as const)(
  'keys of a %s model whose inputs are rounded to %s are kept as %s',
  (compute, activation, expected) => {
    const model = packedModel(activation);
    model.computeDType = compute;
    expect(defaultCacheDType(model)).toBe(expected);
  },
);
