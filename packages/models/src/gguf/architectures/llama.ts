import type { GgufValue } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufArchitecture, GgufFile } from '../architecture.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { headSizeOf, readDecoderConfig, requireSilu, writeDecoderConfig } from '../shared-config.js';
import { u32 } from '../values.js';

/**
 * Llama and what its converter takes for it: Mistral, which slides, and Mixtral, which has experts. llama.cpp itself knows
 * no window here, and lets every layer see everything. Rotary pairs stand side by side in the file: rows of queries and
 * keys are reordered (ggml's `LlamaModel.permute`).
 */
export const llama: GgufArchitecture = {
  name: 'llama',
  writes: ['LlamaForCausalLM', 'MistralForCausalLM', 'MixtralForCausalLM'],
  readConfig(file) {
    const { reader, entries, ropeFactors } = file;
    const shared = readDecoderConfig(reader, entries);
    return {
      ...readFamily(file),
      hidden_act: 'silu',
      ...shared,
      ...readGgufRope(reader, shared, ropeFactors),
    };
  },
  writeConfig(config) {
    requireSilu(config);
    const complete: ModelConfig = { ...defaults[(config.architectures as string[])[0]], ...config };
    return {
      ...writeDecoderConfig(complete),
      ...writeGgufRope(complete),
      ...writeWindow(complete),
      ...writeExperts(complete),
    };
  },
  rowOrder: (path, config) =>
    /\.attention\.(query|key)$/.test(path) ? { headSize: headSizeOf(config) } : null,
};

/** What transformers means by fields that are left out. */
const defaults: Readonly<Record<string, ModelConfig>> = {
  LlamaForCausalLM: { max_position_embeddings: 2048 },
  MistralForCausalLM: { num_key_value_heads: 8, max_position_embeddings: 4096 * 32 },
  MixtralForCausalLM: {
    num_key_value_heads: 8,
    max_position_embeddings: 4096 * 32,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
  },
};

/** Which of the three it is. */
function readFamily({ reader, entries }: GgufFile): ModelConfig {
  const experts = reader.number('expert_count', 0);
  const chosen = reader.number('expert_used_count', 0);
  const window = reader.has('attention.sliding_window') ? reader.integer('attention.sliding_window') : null;
  if (experts > 0) {
    return {
      architectures: ['MixtralForCausalLM'],
      model_type: 'mixtral',
      num_local_experts: experts,
      num_experts_per_tok: chosen,
      sliding_window: window,
    };
  }
  if (window !== null)
    return { architectures: ['MistralForCausalLM'], model_type: 'mistral', sliding_window: window };
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    attention_bias: entries.has('blk.0.attn_q.bias'),
    mlp_bias: entries.has('blk.0.ffn_gate.bias'),
  };
}

function writeWindow({ architectures, sliding_window: window }: ModelConfig): Record<string, GgufValue> {
  const [name] = architectures as string[];
  const size = window === undefined && name === 'MistralForCausalLM' ? 4096 : window;
  return typeof size === 'number' ? { 'attention.sliding_window': u32(size) } : {};
}

function writeExperts(config: ModelConfig): Record<string, GgufValue> {
  if ((config.architectures as string[])[0] !== 'MixtralForCausalLM') return {};
  const { num_experts, num_local_experts = num_experts ?? 8, num_experts_per_tok = 2 } = config;
  return {
    expert_count: u32(num_local_experts as number),
    expert_used_count: u32(num_experts_per_tok as number),
  };
}
