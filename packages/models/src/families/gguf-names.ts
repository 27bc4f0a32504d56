import type { NameMap } from './family.js';

/** Experts by themselves: files stack them, which `gguf/model-tensors` undoes. */
export const expertGgufNames: NameMap = [
  ['blocks.*.mlp.router.selectionBias', 'blk.*.exp_probs_b.bias'],
  ['blocks.*.mlp.router', 'blk.*.ffn_gate_inp'],
  ['blocks.*.mlp.experts.gate.sites.*', 'blk.*.ffn_gate.*'],
  ['blocks.*.mlp.experts.up.sites.*', 'blk.*.ffn_up.*'],
  ['blocks.*.mlp.experts.down.sites.*', 'blk.*.ffn_down.*'],
  ['blocks.*.mlp.shared.gate', 'blk.*.ffn_gate_shexp'],
  ['blocks.*.mlp.shared.up', 'blk.*.ffn_up_shexp'],
  ['blocks.*.mlp.shared.down', 'blk.*.ffn_down_shexp'],
];

/** Names of the parts that nearly all decoders of llama.cpp share. */
export const decoderGgufNames: NameMap = [
  ['embed', 'token_embd'],
  ['blocks.*.attentionNorm', 'blk.*.attn_norm'],
  ['blocks.*.attention.query', 'blk.*.attn_q'],
  ['blocks.*.attention.key', 'blk.*.attn_k'],
  ['blocks.*.attention.value', 'blk.*.attn_v'],
  ['blocks.*.attention.output', 'blk.*.attn_output'],
  ['blocks.*.attention.queryNorm', 'blk.*.attn_q_norm'],
  ['blocks.*.attention.keyNorm', 'blk.*.attn_k_norm'],
  ['blocks.*.mlpNorm', 'blk.*.ffn_norm'],
  ['blocks.*.mlp.gate', 'blk.*.ffn_gate'],
  ['blocks.*.mlp.up', 'blk.*.ffn_up'],
  ['blocks.*.mlp.down', 'blk.*.ffn_down'],
  ['norm', 'output_norm'],
  ['head', 'output'],
];
