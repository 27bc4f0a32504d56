import type { GgufArchitecture } from '../architecture.js';
import { readGgufRope } from '../rope.js';
import { readDecoderConfig } from '../shared-config.js';

/**
 * Llama and what its converter takes for it. Rotary pairs stand side by side in the file: rows of queries and keys
 * are reordered (ggml's `LlamaModel.permute`).
 */
export const llama: GgufArchitecture = {
  name: 'llama',
  readConfig(reader, entries) {
    const shared = readDecoderConfig(reader, entries);
    const config = {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_act: 'silu',
      ...shared,
      attention_bias: entries.has('blk.0.attn_q.bias'),
      mlp_bias: entries.has('blk.0.ffn_gate.bias'),
      ...readGgufRope(reader, shared.max_position_embeddings as number, entries.has('rope_freqs.weight')),
    };
    reader.only('expert_count', 0);
    reader.only('expert_used_count', 0);
    return config;
  },
  rowOrder(path, config) {
    if (!/\.attention\.(query|key)$/.test(path)) return null;
    const { head_dim, hidden_size, num_attention_heads } = config as Record<string, number>;
    return { headSize: head_dim ?? hidden_size / num_attention_heads };
  },
};
