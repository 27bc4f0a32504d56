import type { GgufArchitecture } from '../architecture.js';
import { refuseConfig, requireSetting } from '../refusal.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { readDecoderConfig, requireSilu, writeDecoderConfig } from '../shared-config.js';
import { u32 } from '../values.js';

/** Qwen3-MoE: experts in every layer, whose weights always sum to one. */
export const qwen3Moe: GgufArchitecture = {
  name: 'qwen3moe',
  writes: ['Qwen3MoeForCausalLM'],
  readConfig({ reader, entries, ropeFactors }) {
    const shared = readDecoderConfig(reader, entries);
    const chosen = reader.integer('expert_used_count');
    reader.only('expert_weights_scale', 1);
    reader.only('expert_weights_norm', true);
    return {
      architectures: ['Qwen3MoeForCausalLM'],
      model_type: 'qwen3_moe',
      hidden_act: 'silu',
      ...shared,
      num_experts: reader.integer('expert_count'),
      num_experts_per_tok: chosen,
      moe_intermediate_size: reader.integer(
        'expert_feed_forward_length',
        Math.floor((shared.intermediate_size as number) / chosen),
      ),
      norm_topk_prob: true,
      attention_bias: entries.has('blk.0.attn_q.bias'),
      ...readGgufRope(reader, shared, ropeFactors),
    };
  },
  writeConfig(config) {
    requireSilu(config);
    requireSetting(config, 'attention_bias', [false]);
    requireSetting(config, 'use_sliding_window', [false]);
    requireSetting(config, 'decoder_sparse_step', [1]);
    if (config.norm_topk_prob !== true)
      refuseConfig(
        "GGUF's qwen3moe lets the weights of the chosen experts sum to one",
        'norm_topk_prob false',
      );
    const dense = (config.mlp_only_layers as number[] | undefined) ?? [];
    if (dense.length > 0)
      refuseConfig("GGUF's qwen3moe has experts in every layer", `mlp_only_layers ${dense}`);
    const complete = { head_dim: 128, num_key_value_heads: 4, max_position_embeddings: 32768, ...config };
    const { num_experts, num_local_experts, num_experts_per_tok, moe_intermediate_size } = config;
    return {
      ...writeDecoderConfig(complete),
      ...writeGgufRope(complete),
      expert_count: u32((num_local_experts ?? num_experts ?? 128) as number),
      expert_used_count: u32((num_experts_per_tok ?? 8) as number),
      expert_feed_forward_length: u32((moe_intermediate_size ?? 768) as number),
    };
  },
};
