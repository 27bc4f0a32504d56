import type { GgufArchitecture } from '../architecture.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { headSizeOf, readDecoderConfig, writeDecoderConfig } from '../shared-config.js';

/**
 * Llama and what its converter takes for it. Rotary pairs stand side by side in the file: rows of queries and keys
 * are reordered (ggml's `LlamaModel.permute`).
 */
export const llama: GgufArchitecture = {
  name: 'llama',
  writes: ['LlamaForCausalLM'],
  readConfig({ reader, entries, ropeFactors }) {
    const shared = readDecoderConfig(reader, entries);
    const config = {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_act: 'silu',
      ...shared,
      attention_bias: entries.has('blk.0.attn_q.bias'),
      mlp_bias: entries.has('blk.0.ffn_gate.bias'),
      ...readGgufRope(reader, shared, ropeFactors),
    };
    reader.only('expert_count', 0);
    reader.only('expert_used_count', 0);
    return config;
  },
  writeConfig: (config) => ({ ...writeDecoderConfig(config), ...writeGgufRope(config) }),
  rowOrder: (path, config) =>
    /\.attention\.(query|key)$/.test(path) ? { headSize: headSizeOf(config) } : null,
};
