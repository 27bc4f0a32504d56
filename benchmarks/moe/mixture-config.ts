/** What a model of routed experts and one shared expert of the same size has beside the rest of its configuration. */
export function mixtureConfig(size: {
  readonly neurons: number;
  readonly experts: number;
  readonly chosen: number;
}) {
  const { neurons, experts, chosen } = size;
  return {
    architectures: ['Qwen2MoeForCausalLM'],
    intermediate_size: neurons,
    moe_intermediate_size: neurons,
    shared_expert_intermediate_size: neurons,
    num_experts: experts,
    num_experts_per_tok: chosen,
    norm_topk_prob: true,
    qkv_bias: false,
  };
}
