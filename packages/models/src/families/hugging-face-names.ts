import type { NameMap } from './family.js';

/** Names of the parts that nearly all decoders of transformers share. */
export const decoderNames: NameMap = [
  ['embed', 'model.embed_tokens'],
  ['norm', 'model.norm'],
  ['head', 'lm_head'],
];

export function layerNames(ours = 'blocks.*', theirs = 'model.layers.*'): NameMap {
  return [
    [`${ours}.attentionNorm`, `${theirs}.input_layernorm`],
    [`${ours}.mlpNorm`, `${theirs}.post_attention_layernorm`],
    ...attentionNames(ours, theirs),
    ...gatedNames(`${ours}.mlp`, `${theirs}.mlp`),
  ];
}

export function attentionNames(ours = 'blocks.*', theirs = 'model.layers.*'): NameMap {
  return [
    [`${ours}.attention.query`, `${theirs}.self_attn.q_proj`],
    [`${ours}.attention.key`, `${theirs}.self_attn.k_proj`],
    [`${ours}.attention.value`, `${theirs}.self_attn.v_proj`],
    [`${ours}.attention.output`, `${theirs}.self_attn.o_proj`],
    [`${ours}.attention.queryNorm`, `${theirs}.self_attn.q_norm`],
    [`${ours}.attention.keyNorm`, `${theirs}.self_attn.k_norm`],
  ];
}

export function gatedNames(ours: string, theirs: string): NameMap {
  return [
    [`${ours}.gate`, `${theirs}.gate_proj`],
    [`${ours}.up`, `${theirs}.up_proj`],
    [`${ours}.down`, `${theirs}.down_proj`],
  ];
}

/** Experts with a tensor each. */
export function expertNames(ours: string, theirs: string): NameMap {
  return [
    [`${ours}.router`, `${theirs}.gate`],
    [`${ours}.experts.gate.sites.*`, `${theirs}.experts.*.gate_proj`],
    [`${ours}.experts.up.sites.*`, `${theirs}.experts.*.up_proj`],
    [`${ours}.experts.down.sites.*`, `${theirs}.experts.*.down_proj`],
  ];
}
