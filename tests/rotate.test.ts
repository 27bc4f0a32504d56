import { compress } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { rotate, roundToNearest } from '@frugal/quant';
import { noGrad, Random, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, RMSNorm, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 24,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 40,
};

function logits(model: CausalLM): Promise<Float32Array> {
  const step = stepBatch([[3, 1, 4, 1, 5, 9, 2, 6]], { vocabularySize: 40 });
  return scope(() => noGrad(() => model.forward(step).logits())).toFloat32();
}

it.each([true, false])('a turned residual stream computes the same; tied head: %s', async (tied) => {
  const model = createModel({ ...config, tie_word_embeddings: tied }, { seed: 3 });
  // A trained model has factors in its norms, the final one included.
  for (const [i, [, module]] of [...model.namedModules()].entries()) {
    if (!(module instanceof RMSNorm)) continue;
    const { value } = module.weight;
    // One of them is 0: training, or a cut, can leave such a channel.
    const isAlive = tensor(Float32Array.from({ length: 24 }, (_, c) => (c === 7 ? 0 : 1)));
    noGrad(() => value.assign(new Random(i).normal(value.shape).mul(0.3).add(1).mul(isAlive)));
  }
  const before = await logits(model);
  const modifiers = [{ type: 'quant.rotate', targets: { include: ['**'] }, seed: 5 }];
  await compress(
    model,
    { version: 1, seed: 0, stages: [{ name: 'turn', modifiers }] },
    { methods: [rotate] },
  );
  const after = await logits(model);
  expect(after.every(Number.isFinite)).toBe(true);
  const worst = after.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i])), 0);
  expect(worst).toBeGreaterThan(0);
  expect(worst).toBeLessThan(1e-4);
  // Packing the head leaves the embedding alone, which is another matrix now.
  const head = [
    { type: 'quant.rtn', targets: { include: ['head'] }, format: 'int8-channel', activation: 'none' },
  ];
  const pack = { version: 1 as const, seed: 0, stages: [{ name: 'pack', modifiers: head }] };
  await compress(model, pack, { methods: [roundToNearest] });
  const packed = await logits(model);
  const off = packed.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i])), 0);
  expect(off).toBeLessThan(0.02 * before.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
});

it('says of a model that its stream cannot be turned at all, not that targets leave it out', async () => {
  const rest = { ...config, head_dim: 12, num_key_value_heads: 2, query_pre_attn_scalar: 12 };
  const model = createModel({ ...rest, architectures: ['Gemma3ForCausalLM'] }, { seed: 3 });
  const modifiers = [{ type: 'quant.rotate', targets: { include: ['**'] } }];
  const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'turn', modifiers }] };
  await expect(compress(model, recipe, { methods: [rotate] })).rejects.toThrow(
    /no residual stream that can be turned/,
  );
});
