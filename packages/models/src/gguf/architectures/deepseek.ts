import type { GgufValue } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufArchitecture } from '../architecture.js';
import type { LatentSizes } from '../latent-rows.js';
import type { GgufMetadataReader } from '../metadata-reader.js';
import { refuseConfig, requireSetting } from '../refusal.js';
import { readGgufRope, ropeSettings, writeGgufRope } from '../rope.js';
import { readSizes, requireSilu, writeSizes } from '../shared-config.js';
import { f32, flag, u32 } from '../values.js';

/** llama.cpp's `expert_gating_func`. */
const SOFTMAX = 1;
const SIGMOID = 2;

/**
 * DeepSeek V2 and V3, told apart by how the router gates. Latent attention is written in its absorbed form, one key head
 * that all share; old files have it expanded. Blocks that predict further tokens are left out, as llama.cpp does.
 */
export const deepseek2: GgufArchitecture = {
  name: 'deepseek2',
  writes: ['DeepseekV2ForCausalLM', 'DeepseekV3ForCausalLM'],
  readConfig({ reader, entries, ropeFactors }) {
    const shared = readSizes(reader, entries);
    const isThird = reader.number('expert_gating_func', SOFTMAX) === SIGMOID;
    const { sizes, rotarySize } = readHeads(reader);
    return {
      architectures: [isThird ? 'DeepseekV3ForCausalLM' : 'DeepseekV2ForCausalLM'],
      model_type: isThird ? 'deepseek_v3' : 'deepseek_v2',
      hidden_act: 'silu',
      ...shared,
      num_key_value_heads: shared.num_attention_heads,
      ...sizes,
      ...readExperts(reader, isThird),
      ...(isThird && { num_nextn_predict_layers: 0 }),
      ...readLatentRope(reader, { ...shared, head_dim: rotarySize }, ropeFactors),
    };
  },
  writeConfig(config) {
    requireSilu(config);
    requireSetting(config, 'attention_bias', [false]);
    requireSetting(config, 'mlp_bias', [false]);
    requireSetting(config, 'rope_interleave', [true]);
    const isThird = (config.architectures as string[])[0] === 'DeepseekV3ForCausalLM';
    const complete = { max_position_embeddings: isThird ? 4096 : 2048, ...config };
    return {
      ...writeSizes(complete),
      ...writeHeads(complete),
      ...writeExperts(complete, isThird),
      ...writeLatentRope(complete),
    };
  },
  latentSizes: (config) => latentSizes(config),
  leavesOut: (path) => path.startsWith('extraBlocks.'),
};

function latentSizes(config: ModelConfig): LatentSizes & { readonly rotarySize: number } {
  const number = (name: string, fallback: number) => (config[name] as number | undefined) ?? fallback;
  return {
    heads: config.num_attention_heads as number,
    plainSize: number('qk_nope_head_dim', 128),
    rotarySize: number('qk_rope_head_dim', 64),
    valueSize: number('v_head_dim', 128),
    latentSize: number('kv_lora_rank', 512),
  };
}

function readHeads(reader: GgufMetadataReader): { sizes: ModelConfig; rotarySize: number } {
  const rotarySize = reader.integer('rope.dimension_count');
  const [keySize, valueSize] = ['key', 'value'].map((part) =>
    reader.integer(`attention.${part}_length_mla`, reader.integer(`attention.${part}_length`)),
  );
  reader.ignore('attention.head_count_kv'); // 1 in the absorbed form, all heads in the expanded one
  const rank = 'attention.q_lora_rank';
  const sizes = {
    q_lora_rank: reader.has(rank) ? reader.integer(rank) : null,
    kv_lora_rank: reader.integer('attention.kv_lora_rank'),
    qk_nope_head_dim: keySize - rotarySize,
    qk_rope_head_dim: rotarySize,
    v_head_dim: valueSize,
  };
  return { sizes, rotarySize };
}

function writeHeads(config: ModelConfig): Record<string, GgufValue> {
  const { plainSize, rotarySize, valueSize, latentSize } = latentSizes(config);
  const rank = config.q_lora_rank === undefined ? 1536 : config.q_lora_rank;
  return {
    'attention.head_count_kv': u32(1),
    ...(rank !== null && { 'attention.q_lora_rank': u32(rank as number) }),
    'attention.kv_lora_rank': u32(latentSize),
    'attention.key_length': u32(latentSize + rotarySize),
    'attention.value_length': u32(latentSize),
    'attention.key_length_mla': u32(plainSize + rotarySize),
    'attention.value_length_mla': u32(valueSize),
    'rope.dimension_count': u32(rotarySize),
  };
}

function readExperts(reader: GgufMetadataReader, isThird: boolean): ModelConfig {
  const groups = reader.number('expert_group_count', 1);
  const limited = { n_group: groups, topk_group: reader.number('expert_group_used_count', 1) };
  return {
    first_k_dense_replace: reader.number('leading_dense_block_count', 0),
    n_routed_experts: reader.integer('expert_count'),
    num_experts_per_tok: reader.integer('expert_used_count'),
    n_shared_experts: reader.number('expert_shared_count', 0),
    moe_intermediate_size: reader.integer('expert_feed_forward_length'),
    routed_scaling_factor: reader.number('expert_weights_scale', 1),
    norm_topk_prob: reader.boolean('expert_weights_norm', false),
    ...limited,
    ...(!isThird && { topk_method: groups > 1 ? 'group_limited_greedy' : 'greedy' }),
  };
}

function writeExperts(config: ModelConfig, isThird: boolean): Record<string, GgufValue> {
  const of = (name: string, fallback: number) => (config[name] as number | null | undefined) ?? fallback;
  const limited = isThird || config.topk_method === 'group_limited_greedy';
  const experts = config.n_routed_experts ?? config.num_experts ?? config.num_local_experts;
  return {
    leading_dense_block_count: u32(of('first_k_dense_replace', isThird ? 3 : 0)),
    expert_count: u32(experts as number),
    expert_used_count: u32(of('num_experts_per_tok', 8)),
    expert_shared_count: u32(of('n_shared_experts', config.n_shared_experts === null ? 0 : isThird ? 1 : 2)),
    expert_feed_forward_length: u32(of('moe_intermediate_size', 0)),
    expert_weights_scale: f32(of('routed_scaling_factor', isThird ? 2.5 : 1)),
    expert_weights_norm: flag((config.norm_topk_prob ?? isThird) === true),
    expert_gating_func: u32(isThird ? SIGMOID : SOFTMAX),
    ...(limited && {
      expert_group_count: u32(of('n_group', isThird ? 8 : 1)),
      expert_group_used_count: u32(of('topk_group', isThird ? 4 : 1)),
    }),
  };
}

const LOG_MULTIPLIER = 'rope.scaling.yarn_log_multiplier';

/** Of yarn's two scales only the one on scores is kept, times 0.1: the one on cos and sin is taken to be the same. */
function readLatentRope(
  reader: GgufMetadataReader,
  sizes: ModelConfig,
  factors: Float32Array | null,
): ModelConfig {
  const scale = Number((reader.number(LOG_MULTIPLIER, 0) / 0.1).toPrecision(7));
  const rope = readGgufRope(reader, sizes, factors);
  if (scale === 0 || !rope.rope_scaling) return rope;
  return { ...rope, rope_scaling: { ...rope.rope_scaling, mscale: scale, mscale_all_dim: scale } };
}

function writeLatentRope(config: ModelConfig): Record<string, GgufValue> {
  const { kind, attention_factor: chosen, mscale, mscale_all_dim: scale } = ropeSettings(config);
  if (kind !== 'yarn') return writeGgufRope({ ...config, head_dim: latentSizes(config).rotarySize });
  if (scale === undefined || mscale !== scale || chosen !== undefined) {
    refuseConfig(
      "GGUF's deepseek2 has one scale of yarn for all",
      `mscale ${mscale}, mscale_all_dim ${scale}, attention_factor ${chosen}`,
      'equal mscale and mscale_all_dim, no attention_factor',
    );
  }
  const { 'rope.scaling.attn_factor': _, ...written } = writeGgufRope(config);
  return { ...written, [LOG_MULTIPLIER]: f32(0.1 * scale) };
}
