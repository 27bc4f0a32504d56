import { compress, parseRecipe } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { quantMethods } from '@frugal/quant';
import { type FloatDType, referenceBackend, setBackend } from '@frugal/tensor-core';
import { generateBatch } from '@frugal/tensor-core/generation';
import { type CausalLM, nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';
import { afterEach, describe, expect, it } from 'vitest';
import {
  expectNoViolations,
  needsStub,
  openBackend,
  stubControl,
} from '../packages/backend-ascend/test/ascend.js';

// Which kernels of CANN the steps of whole models run on: that a fused op is there says nothing of whether it is used.
needsStub();
expectNoViolations();

const llama = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 64,
};
const qwenMoe = {
  ...llama,
  architectures: ['Qwen3MoeForCausalLM'],
  head_dim: 16,
  num_experts: 8,
  num_experts_per_tok: 2,
  moe_intermediate_size: 32,
  norm_topk_prob: true,
};
const LAYERS = 2;

afterEach(() => setBackend(referenceBackend()));

/** How often each of these kernels is enqueued by `work`. */
async function callsOf(names: readonly string[], work: () => Promise<void>): Promise<number[]> {
  const { calls } = stubControl();
  const count = () => names.map((name) => Number(calls(`aclnn${name}`)));
  const before = count();
  await work();
  return count().map((now, i) => now - before[i]);
}

const sequence = (first: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (first * 7 + i * 3) % llama.vocab_size);

async function trainOneStep(model: CausalLM): Promise<void> {
  const batches = {
    next: () => nextTokenBatch([sequence(1, 9), sequence(2, 6)]),
    state: () => null,
    restore: () => {},
  };
  const loss = languageModelLoss(model);
  const schedule = constant({ peak: 0.01 });
  for await (const _ of train({ model, batches, loss, optimizer: new AdamW(), schedule, steps: 1 }));
}

/** Two texts at once: their prompts in one step, then five steps of a token each. */
async function writeTwo(model: CausalLM, dtype: FloatDType): Promise<void> {
  model.computeDType = dtype;
  const requests = [5, 7].map((length) => ({ prompt: sequence(1, length), maxTokens: 6, temperature: 0 }));
  for await (const _ of generateBatch(model, requests));
}
const DECODED = 5;

describe.each([
  ['Llama', llama],
  ['Qwen3-MoE', qwenMoe],
] as const)('%s', (name, config) => {
  const isMoe = name === 'Qwen3-MoE';
  // Each block of Qwen norms queries and keys as well.
  const norms = LAYERS * (isMoe ? 4 : 2) + 1;

  it('trains on the fused kernels', async () => {
    setBackend(openBackend());
    const model = createModel(config, { seed: 3 });
    const attention = ['RotaryPositionEmbedding', 'FlashAttentionScore', 'FlashAttentionScoreGrad'];
    const layers = ['RmsNormGrad', 'AddRmsNorm', 'Silu', 'SiluBackward', 'ApplyAdamWV2'];
    const experts = ['MoeGatingTopKSoftmaxV2', 'GroupedMatmulV4'];
    const found = await callsOf([...attention, ...layers, ...experts], () => trainOneStep(model));
    const attended = [4 * LAYERS, LAYERS, LAYERS];
    // The backward pass activates again; the first norm has nothing to add.
    const gated = [2 * LAYERS, LAYERS];
    const expected = [...attended, norms, LAYERS, ...gated, model.parameters().length];
    // Three products of each layer, forward, of inputs and of weights.
    expect(found).toEqual([...expected, ...(isMoe ? [LAYERS, 9 * LAYERS] : [0, 0])]);
    model.dispose();
  });

  it('decodes by IncreFlashAttention in 16 bits', async () => {
    setBackend(openBackend());
    const model = createModel(config, { seed: 3 });
    const names = ['IncreFlashAttentionV4', ...(isMoe ? ['MoeGatingTopKSoftmaxV2'] : [])];
    for (const dtype of ['bf16', 'f16', 'f32'] as const) {
      const found = await callsOf(names, () => writeTwo(model, dtype));
      expect(found[0], dtype).toBe(dtype === 'f32' ? 0 : DECODED * LAYERS);
      if (isMoe) expect(found[1]).toBe((DECODED + 1) * LAYERS);
    }
    model.dispose();
  });

  it.each([
    ['int8-channel', 'int8', ['QuantMatmulV4', 'DynamicQuant']],
    ['int8-channel-hadamard', 'int8', ['QuantMatmulV4']],
    ['int8-channel', 'none', ['WeightQuantBatchMatmulV3']],
    ['int4-g32', 'none', ['WeightQuantBatchMatmulV3']],
  ] as const)('multiplies %s, activations %s, without unpacking', async (format, activation, kernels) => {
    setBackend(openBackend());
    const modifier = { type: 'quant.rtn', targets: { include: ['blocks.**'] }, format, activation };
    const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'packed', modifiers: [modifier] }] });
    const { model } = await compress(createModel(config, { seed: 3 }), recipe, { methods: quantMethods });
    // Queries, keys, values, outputs; gate, up and down of each expert.
    const products = LAYERS * (4 + 3 * (isMoe ? qwenMoe.num_experts : 1)) * (DECODED + 1);
    const found = await callsOf(kernels, () => writeTwo(model as CausalLM, 'bf16'));
    expect(found).toEqual(kernels.map(() => products));
    model.dispose();
  });
});
