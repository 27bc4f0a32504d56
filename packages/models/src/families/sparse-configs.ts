import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import type { SparseShape } from './family.js';

/** What a family means by fields that are left out; its sparse relative may mean something else. */
export interface Unsaid {
  readonly num_key_value_heads?: number;
  readonly head_dim?: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
}

/** A config that says what its family would understand anyway. */
export function spelledOut(config: ModelConfig, unsaid: Unsaid): ModelConfig {
  const said = Object.entries(config).filter(([, value]) => value !== undefined);
  const keyHeads = { num_key_value_heads: config.num_attention_heads };
  const theta = { rope_theta: config.rope_theta ?? 10000 };
  const { rope_parameters: rope } = config;
  return {
    ...keyHeads,
    ...(rope ? {} : theta),
    hidden_act: 'silu',
    ...unsaid,
    ...Object.fromEntries(said),
    ...(rope ? { rope_parameters: { ...theta, ...rope } } : {}),
  };
}

/** Balances the experts while training: what the families themselves start from. */
const AUXILIARY_WEIGHT = 0.001;

/** Mixtral: no shared experts, no biases. */
export function sparseMixtral(
  config: ModelConfig,
  { experts, chosen, size, sharedSize }: SparseShape,
): ModelConfig {
  if (sharedSize > 0) throw unfit('Mixtral has no shared experts', `${sharedSize} shared neurons`, 'none');
  return {
    sliding_window: null,
    ...config,
    architectures: ['MixtralForCausalLM'],
    model_type: 'mixtral',
    intermediate_size: size,
    num_local_experts: experts,
    num_experts_per_tok: chosen,
    router_aux_loss_coef: AUXILIARY_WEIGHT,
  };
}

/** Qwen2-MoE: experts and a shared one, always. */
export function sparseQwen2(
  config: ModelConfig,
  { experts, chosen, size, sharedSize }: SparseShape,
): ModelConfig {
  if (sharedSize === 0)
    throw unfit('Qwen2-MoE always has shared experts', 'none', 'shared pieces: --shared of --fine-grained');
  return {
    ...config,
    architectures: ['Qwen2MoeForCausalLM'],
    model_type: 'qwen2_moe',
    ...qwenExperts({ experts, chosen, size }),
    shared_expert_intermediate_size: sharedSize,
  };
}

/** Qwen3-MoE: no shared experts. */
export function sparseQwen3(
  config: ModelConfig,
  { experts, chosen, size, sharedSize }: SparseShape,
): ModelConfig {
  if (sharedSize > 0) throw unfit('Qwen3-MoE has no shared experts', `${sharedSize} shared neurons`, 'none');
  refuseFields(config, { use_sliding_window: false });
  const { layer_types: _, ...rest } = config;
  return {
    ...rest,
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    ...qwenExperts({ experts, chosen, size }),
  };
}

/** DeepSeek V3 without dense layers; blocks that predict further tokens are left out. */
export function sparseDeepseek(
  config: ModelConfig,
  { experts, chosen, size, sharedSize }: SparseShape,
): ModelConfig {
  const { num_mtp_layers: _, ...rest } = config;
  return {
    ...rest,
    num_nextn_predict_layers: 0,
    first_k_dense_replace: 0,
    moe_intermediate_size: size,
    n_routed_experts: experts,
    n_shared_experts: sharedSize / size || null,
    num_experts_per_tok: chosen,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
  };
}

function qwenExperts({ experts, chosen, size }: Omit<SparseShape, 'sharedSize'>): ModelConfig {
  return {
    num_experts: experts,
    num_experts_per_tok: chosen,
    moe_intermediate_size: size,
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
    router_aux_loss_coef: AUXILIARY_WEIGHT,
  };
}

/** @throws ModelConfigError when a field is set to something that the sparse family cannot do */
export function refuseFields(config: ModelConfig, neutral: Readonly<Record<string, unknown>>): void {
  for (const [field, value] of Object.entries(neutral)) {
    if (config[field] === undefined || config[field] === null || config[field] === value) continue;
    throw unfit(`its sparse relative has no ${field}`, String(config[field]), String(value));
  }
}

function unfit(what: string, got: string, expected: string): ModelConfigError {
  return new ModelConfigError({ where: 'upcycle', what, got, expected });
}
