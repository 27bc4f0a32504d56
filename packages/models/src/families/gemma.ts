import type { ModelConfig, RotaryEmbedding } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { denseShape, type LayerType, readLayerTypes, readStandard, windowsOf } from '../decoder-config.js';
import type { DecoderShape } from '../decoder-shape.js';
import { readRope, readRopes } from '../rope-config.js';
import type { Family, NameMap } from './family.js';
import { decoderGgufNames } from './gguf-names.js';
import { attentionNames, gatedNames } from './hugging-face-names.js';

/** What the two generations differ in. */
interface Generation {
  readonly contextLength: number;
  readonly finalSoftCap: number | null;
  readonly attentionSoftCap: number | null;
  readonly headNorms: boolean;
  /** Every how many layers one sees everything. */
  fullEvery(config: ConfigReader): number;
  /** Rotary tables by layer type. */
  rotaries(
    config: ConfigReader,
    headSize: number,
    contextLength: number,
  ): { readonly contextLength: number; readonly tables: Record<LayerType, RotaryEmbedding> };
}

const second: Generation = {
  contextLength: 8192,
  finalSoftCap: 30,
  attentionSoftCap: 50,
  headNorms: false,
  fullEvery: () => 2,
  rotaries(config, headSize, length) {
    const { rotary, contextLength } = readRope(config, headSize, { contextLength: length });
    return { contextLength, tables: { full_attention: rotary, sliding_attention: rotary } };
  },
};

const third: Generation = {
  contextLength: 131072,
  finalSoftCap: null,
  attentionSoftCap: null,
  headNorms: true,
  fullEvery(config) {
    config.ignore('_sliding_window_pattern');
    return config.integer('sliding_window_pattern', 6);
  },
  rotaries: (config, headSize, contextLength) =>
    readRopes(config, headSize, contextLength, {
      full_attention: { theta: 1e6, thetaField: 'rope_theta', scaled: true },
      sliding_attention: { theta: 1e4, thetaField: 'rope_local_base_freq', scaled: false },
    }),
};

function readConfig(json: ModelConfig, generation: Generation): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, {
    keyHeads: 4,
    headSize: 256,
    contextLength: generation.contextLength,
    tied: true,
    activation: ['hidden_activation', 'gelu_pytorch_tanh'],
  });
  config.ignore('hidden_act'); // an older name that transformers does not read
  const every = generation.fullEvery(config);
  const types = readLayerTypes(config, standard.layers, (layer) =>
    (layer + 1) % every === 0 ? 'full_attention' : 'sliding_attention',
  );
  const windows = windowsOf(types, config.integerOrNull('sliding_window', 4096));
  const { tables, contextLength } = generation.rotaries(config, standard.headSize, standard.contextLength);
  const bias = config.boolean('attention_bias', false);
  const scale = config.number('query_pre_attn_scalar', 256) ** -0.5;
  const softCap = readAttentionSoftCap(config, generation);
  const logitSoftCap = config.numberOrNull('final_logit_softcapping', generation.finalSoftCap) ?? undefined;
  config.only('use_bidirectional_attention', false);
  config.finish();
  const { heads, keyHeads, headSize, hiddenSize } = standard;
  return {
    ...standard,
    contextLength,
    normOffset: 1,
    embeddingScale: Math.sqrt(hiddenSize),
    logitSoftCap,
    blocks: types.map((type, i) => ({
      attention: {
        kind: 'heads',
        heads,
        keyHeads,
        headSize,
        bias: { input: bias, output: bias },
        rotary: tables[type],
        window: windows[i],
        scale,
        softCap,
        headNorms: generation.headNorms,
      },
      mlp: denseShape(standard),
      postNorms: true,
    })),
  };
}

/** Gemma 3 dropped it; transformers has the field still and does not use it, so a value there is a mistake. */
function readAttentionSoftCap(config: ConfigReader, { attentionSoftCap }: Generation): number | undefined {
  if (attentionSoftCap !== null)
    return config.numberOrNull('attn_logit_softcapping', attentionSoftCap) ?? undefined;
  config.onlyNull('attn_logit_softcapping');
  return undefined;
}

const layer = 'model.layers.*';
const names: NameMap = [
  ['embed', 'model.embed_tokens'],
  ['norm', 'model.norm'],
  ['head.linear', 'lm_head'],
  ['head', 'lm_head'],
  ['blocks.*.attentionNorm', `${layer}.input_layernorm`],
  ['blocks.*.attentionPostNorm', `${layer}.post_attention_layernorm`],
  ['blocks.*.mlpNorm', `${layer}.pre_feedforward_layernorm`],
  ['blocks.*.mlpPostNorm', `${layer}.post_feedforward_layernorm`],
  ...attentionNames(),
  ...gatedNames('blocks.*.mlp', `${layer}.mlp`),
];

const ggufNames: NameMap = [
  ['blocks.*.attentionPostNorm', 'blk.*.post_attention_norm'],
  ['blocks.*.mlpPostNorm', 'blk.*.post_ffw_norm'],
  ['head.linear', 'output'],
  ...decoderGgufNames,
];

/** Gemma 2 (arXiv:2408.00118): local and global layers in turn, soft caps on scores and logits. */
export const gemma2: Family = {
  architectures: ['Gemma2ForCausalLM'],
  modelType: 'gemma2',
  build: (config, initialize) => buildDecoder(readConfig(config, second), config, initialize),
  names: () => names,
  ggufNames: () => ggufNames,
};

/** Gemma 3, text only (arXiv:2503.19786): five local layers to a global one, norms over queries and keys. */
export const gemma3: Family = {
  architectures: ['Gemma3ForCausalLM'],
  modelType: 'gemma3_text',
  build: (config, initialize) => buildDecoder(readConfig(config, third), config, initialize),
  names: () => names,
  ggufNames: () => ggufNames,
};
