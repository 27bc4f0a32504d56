import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import {
  createModel,
  feedForwardInputs,
  saveModel,
  type UpcycleModelOptions,
  upcycleModel,
} from '@frugal/models';
import { clusterDirections } from '@frugal/moe';
import { noGrad, Random, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, type ModelConfig, nextTokenBatch, stepBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const sizes = {
  hidden_size: 24,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 61,
  max_position_embeddings: 64,
};
const llama = { ...sizes, head_dim: 8, architectures: ['LlamaForCausalLM'], model_type: 'llama' };
const latent = {
  q_lora_rank: null,
  kv_lora_rank: 8,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 4,
  v_head_dim: 8,
};
const deepseek = {
  ...sizes,
  ...latent,
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  num_key_value_heads: 2,
  moe_intermediate_size: 4,
  n_routed_experts: 4,
  num_experts_per_tok: 2,
  first_k_dense_replace: 2,
  n_group: 1,
  topk_group: 1,
};

const cases: [name: string, config: ModelConfig, options: UpcycleModelOptions, family: string][] = [
  ['Llama, whole copies', llama, { experts: 4, chosen: 2 }, 'mixtral'],
  [
    'Llama, tied, fine-grained',
    { ...llama, tie_word_embeddings: true },
    { experts: 12, chosen: 6, slices: 3 },
    'mixtral',
  ],
  ['Llama, with shared pieces', llama, { experts: 9, chosen: 3, slices: 4, shared: 1 }, 'qwen2_moe'],
  [
    'Mistral',
    { ...llama, architectures: ['MistralForCausalLM'], model_type: 'mistral', sliding_window: 5 },
    { experts: 8, chosen: 4, slices: 4 },
    'mixtral',
  ],
  [
    'Qwen 2',
    { ...llama, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' },
    { experts: 4, chosen: 2, slices: 3, shared: 2 },
    'qwen2_moe',
  ],
  [
    'Qwen 2 with windows',
    {
      ...llama,
      architectures: ['Qwen2ForCausalLM'],
      use_sliding_window: true,
      sliding_window: 6,
      max_window_layers: 1,
      rope_parameters: { rope_type: 'linear', factor: 2 },
    },
    { experts: 4, chosen: 2, slices: 2, shared: 1 },
    'qwen2_moe',
  ],
  [
    'Qwen 3',
    { ...llama, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' },
    { experts: 8, chosen: 4, slices: 2 },
    'qwen3_moe',
  ],
  ['dense DeepSeek V3', deepseek, { experts: 6, chosen: 3, slices: 4, shared: 1 }, 'deepseek_v3'],
];

const ids = Array.from({ length: 40 }, (_, i) => (i * 31 + 5) % 61);

function logitsOf(model: CausalLM): Promise<Float32Array> {
  const batch = () => stepBatch([ids], { vocabularySize: 61 });
  return noGrad(() => scope(() => model.forward(batch()).logits())).toFloat32();
}

/** Larger weights than at the start of training, so that feed-forward layers matter. */
function denseModel(config: ModelConfig): CausalLM {
  const model = createModel(config, { seed: 3 });
  for (const [path, parameter] of model.namedParameters())
    if (/mlp|bias/.test(path))
      parameter.value = noGrad(() => scope(() => new Random(path.length).normal(parameter.shape).mul(0.4)));
  return model;
}

const largestDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

const python = findPython(
  'import torch, transformers; assert int(transformers.__version__.split(".")[0]) >= 5',
);

describe('upcycleModel', () => {
  it.each(cases)('keeps the function: %s', async (_, config, options, family) => {
    const dense = denseModel(config);
    const expected = await logitsOf(dense);
    const inputs = feedForwardInputs(dense, [ids]);
    const directions = new Map<string, Tensor>();
    const copies = options.experts / ((options.slices ?? 1) - (options.shared ?? 0));
    for (const [path, x] of inputs) directions.set(path, await clusterDirections(x, copies, new Random(2)));
    for (const routers of [undefined, directions]) {
      const sparse = upcycleModel(dense, { ...options, seed: 9, ...(routers && { directions: routers }) });
      expect(sparse.config.model_type).toBe(family);
      expect(largestDifference(await logitsOf(sparse), expected)).toBeLessThan(
        5e-6 * Math.max(...expected.map(Math.abs)) + 5e-6,
      );
    }
    const noisy = upcycleModel(dense, { ...options, noise: 0.2 });
    expect(largestDifference(await logitsOf(noisy), expected)).toBeGreaterThan(1e-3);
  });

  it('leaves the dense model alone and trains on', async () => {
    const dense = denseModel(llama);
    const before = await logitsOf(dense);
    const model = upcycleModel(dense, { experts: 4, chosen: 2, seed: 1 });
    const copies = () => model.module('blocks.0.mlp.experts.gate').parameters()[0].value.toFloat32();
    const losses: number[] = [];
    const sequence = Int32Array.from(ids);
    const events = train({
      model,
      batches: { next: () => nextTokenBatch([sequence]), state: () => null, restore: () => {} },
      loss: languageModelLoss(model),
      optimizer: new AdamW(),
      schedule: constant({ peak: 3e-3 }),
      steps: 25,
    });
    for await (const event of events) if (event.type === 'step') losses.push(event.loss);
    expect(losses[24]).toBeLessThan(losses[0] - 1);
    const gate = await copies();
    const [first, second] = [gate.slice(0, 36 * 24), gate.slice(36 * 24, 2 * 36 * 24)];
    expect(largestDifference(first, second)).toBeGreaterThan(1e-4); // the copies go apart
    expect(await logitsOf(dense)).toEqual(before);
  });

  it.each<[string, ModelConfig, UpcycleModelOptions, RegExp]>([
    [
      'a sparse model',
      { ...deepseek, first_k_dense_replace: 0 },
      { experts: 4, chosen: 2 },
      /has experts already/,
    ],
    ['biases', { ...llama, mlp_bias: true }, { experts: 4, chosen: 2 }, /no mlp_bias/],
    [
      'Qwen 3 with shared pieces',
      { ...llama, architectures: ['Qwen3ForCausalLM'] },
      { experts: 4, chosen: 2, slices: 2, shared: 1 },
      /Qwen3-MoE has no shared/,
    ],
    [
      'Qwen 2 without',
      { ...llama, architectures: ['Qwen2ForCausalLM'] },
      { experts: 4, chosen: 2 },
      /always has shared/,
    ],
    [
      'a family without a sparse relative',
      { ...llama, architectures: ['SmolLM3ForCausalLM'] },
      { experts: 4, chosen: 2 },
      /no sparse relative/,
    ],
  ])('refuses %s', (_, config, options, message) => {
    const { head_dim: _head, ...withoutHead } = config as Record<string, unknown>;
    const usable = String(config.architectures).startsWith('SmolLM3') ? withoutHead : config;
    expect(() => upcycleModel(createModel(usable, { seed: 1 }), options)).toThrow(message);
  });
});

it('transformers opens what comes out and computes what the dense model does', async (context) => {
  if (!python) return context.skip('no Python with torch and transformers 5');
  const folder = await mkdtemp(join(tmpdir(), 'frugal-upcycle-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const expected: Float32Array[] = [];
  for (const [i, [, config, options]] of cases.entries()) {
    const dense = denseModel(config);
    expected.push(await logitsOf(dense));
    await saveModel(upcycleModel(dense, options), join(folder, 'models', `case-${i}`));
  }
  const script = fileURLToPath(new URL('../oracles/open_model.py', import.meta.url));
  const { status, stderr } = spawnSync(
    python,
    ['-B', script, join(folder, 'models'), JSON.stringify(ids), folder],
    {
      encoding: 'utf8',
    },
  );
  expect(status, stderr).toBe(0);
  for (const [i, [name]] of cases.entries()) {
    const source = await openSafetensors(join(folder, `case-${i}.safetensors`));
    const theirs = toFloat32(await source.read('logits'), 'F32');
    await source.close();
    const scale = Math.max(...expected[i].map(Math.abs));
    expect(largestDifference(theirs, expected[i]) / scale, name).toBeLessThan(2e-5);
  }
});
