import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufArchitecture } from '../architecture.js';
import { requireSetting } from '../refusal.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { readDecoderConfig, requireSilu, writeDecoderConfig } from '../shared-config.js';

/** Qwen 2 and 3: rows of queries and keys are as in the model. */
function qwen(name: 'qwen2' | 'qwen3', architecture: string, defaults: ModelConfig): GgufArchitecture {
  return {
    name,
    writes: [architecture],
    readConfig({ reader, entries, ropeFactors }) {
      const shared = readDecoderConfig(reader, entries);
      return {
        architectures: [architecture],
        model_type: name,
        hidden_act: 'silu',
        ...shared,
        ...(name === 'qwen3' && { attention_bias: entries.has('blk.0.attn_q.bias') }),
        ...readGgufRope(reader, shared, ropeFactors),
      };
    },
    writeConfig(config) {
      requireSilu(config);
      requireSetting(config, 'use_sliding_window', [false]);
      requireSetting(config, 'attention_bias', [false]);
      const complete = { ...defaults, ...config };
      return { ...writeDecoderConfig(complete), ...writeGgufRope(complete) };
    },
  };
}

export const qwen2 = qwen('qwen2', 'Qwen2ForCausalLM', {
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
});
export const qwen3 = qwen('qwen3', 'Qwen3ForCausalLM', {
  head_dim: 128,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
});
