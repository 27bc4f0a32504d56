import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertModel, createModel, loadModel, saveModel } from '@frugal/models';
import { noGrad, Random, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { askLlamaCpp, findLlamaCpp } from './support/llama-cpp.js';

const llamaCpp = findLlamaCpp();
const TOKENS = 14;

const sizes = {
  ...{ hidden_size: 64, intermediate_size: 96, num_hidden_layers: 3, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, vocab_size: 300, max_position_embeddings: 64, rms_norm_eps: 1e-6 },
};
const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 };
const gemma = { head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 4, tie_word_embeddings: true };
const latent = {
  ...{ num_key_value_heads: 4, q_lora_rank: 32, kv_lora_rank: 32, qk_nope_head_dim: 16, qk_rope_head_dim: 8 },
  ...{ v_head_dim: 24, moe_intermediate_size: 32, n_routed_experts: 8, n_shared_experts: 1 },
  ...{ num_experts_per_tok: 3, first_k_dense_replace: 1, routed_scaling_factor: 1.5 },
};

/** A random model of each family, with settings that a wrong conversion would show in. */
const configs: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: {
    ...{ architectures: ['LlamaForCausalLM'], model_type: 'llama', attention_bias: true },
    rope_scaling: { ...yarn, attention_factor: 1.4 },
  },
  mistral: { architectures: ['MistralForCausalLM'], model_type: 'mistral', head_dim: 24 },
  mixtral: {
    ...{ architectures: ['MixtralForCausalLM'], model_type: 'mixtral' },
    ...{ num_local_experts: 4, num_experts_per_tok: 2 },
  },
  qwen2: { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', tie_word_embeddings: true },
  qwen3: { architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 24 },
  'qwen3-moe': {
    ...{ architectures: ['Qwen3MoeForCausalLM'], model_type: 'qwen3_moe', head_dim: 16, num_experts: 8 },
    ...{ num_experts_per_tok: 3, moe_intermediate_size: 32, norm_topk_prob: true },
  },
  gemma2: {
    ...{ architectures: ['Gemma2ForCausalLM'], model_type: 'gemma2', ...gemma },
    ...{ attn_logit_softcapping: 4, final_logit_softcapping: 9 },
  },
  gemma3: {
    ...{ architectures: ['Gemma3ForCausalLM'], model_type: 'gemma3_text', ...gemma, num_hidden_layers: 7 },
    ...{ rope_theta: 50000, rope_local_base_freq: 300, rope_scaling: { rope_type: 'linear', factor: 2 } },
  },
  'gemma3 with layers of its own': {
    ...{ architectures: ['Gemma3ForCausalLM'], model_type: 'gemma3_text', ...gemma },
    layer_types: ['full_attention', 'sliding_attention', 'full_attention'],
    rope_parameters: {
      full_attention: { ...yarn, rope_theta: 9000 },
      sliding_attention: { rope_type: 'default', rope_theta: 200 },
    },
  },
  'deepseek-v2': {
    ...{ architectures: ['DeepseekV2ForCausalLM'], model_type: 'deepseek_v2', ...latent },
    rope_scaling: { ...yarn, mscale: 0.7, mscale_all_dim: 0.7 },
  },
  'deepseek-v3': {
    ...{ architectures: ['DeepseekV3ForCausalLM'], model_type: 'deepseek_v3', ...latent },
    ...{ n_group: 4, topk_group: 2, norm_topk_prob: true, num_nextn_predict_layers: 1 },
  },
  smollm3: { architectures: ['SmolLM3ForCausalLM'], model_type: 'smollm3', num_hidden_layers: 5 },
};

const corpus = ['It is a matter of great satisfaction that the country is at peace. '.repeat(9)];

/** Weights large enough that a wrong term shows, and norms that are not all alike. */
async function saveRandom(path: string, config: Readonly<Record<string, unknown>>): Promise<void> {
  const model = createModel({ ...config }, { seed: 3 });
  const random = new Random(17);
  const holders = [...model.namedParameters(), ...model.namedBuffers()];
  for (const [i, [, { value }]] of holders.entries())
    noGrad(() => scope(() => void value.assign(value.add(random.fork(i).normal(value.shape).mul(0.15)))));
  const tokenizerFiles = trainByteLevelBpe(corpus, { vocabularySize: 290 }).files();
  await saveModel(model, path, { tokenizerFiles });
  model.dispose();
}

/** Of each next token, [T, V]. */
async function probabilitiesOf(path: string, ids: readonly number[]): Promise<Float32Array> {
  const model = await loadModel(path, { precise: true });
  const { vocabularySize } = model;
  const probabilities = scope(() =>
    noGrad(() =>
      model
        .forward(stepBatch([ids], { vocabularySize }))
        .logits()
        .softmax(),
    ),
  );
  model.dispose();
  return probabilities.toFloat32();
}

interface Answer {
  readonly ids: readonly number[];
  readonly next: readonly (readonly (readonly [id: number, probability: number])[])[];
  readonly error?: string;
}

describe('llama.cpp finds in our GGUF files the model that we have', () => {
  it('in every family', async (context) => {
    if (!llamaCpp) return context.skip('needs node-llama-cpp in the folder that FRUGAL_NODE_PEERS names');
    const folder = await mkdtemp(join(tmpdir(), 'frugal-llama-cpp-'));
    try {
      const names = Object.keys(configs);
      for (const name of names) {
        await saveRandom(join(folder, name), { ...sizes, ...configs[name] });
        await convertModel(join(folder, name), join(folder, `${name}.gguf`));
      }
      const files = names.map((name) => join(folder, `${name}.gguf`));
      const answers = await askLlamaCpp<Answer>('llama_cpp_logits.mjs', llamaCpp, [String(TOKENS), ...files]);
      const differences: Record<string, number> = {};
      for (const [i, { ids, next, error }] of answers.entries()) {
        expect(error, names[i]).toBeUndefined();
        const ours = await probabilitiesOf(join(folder, names[i]), ids);
        const width = ours.length / ids.length;
        const distances = next.flatMap((likely, t) =>
          likely.map(([id, probability]) => Math.abs(ours[t * width + id] - probability)),
        );
        differences[names[i]] = Math.max(...distances);
      }
      if (process.env.FRUGAL_PRINT) console.log(differences);
      expect(Object.keys(differences)).toEqual(names);
      for (const [name, difference] of Object.entries(differences))
        expect(difference, name).toBeLessThan(3e-4);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
