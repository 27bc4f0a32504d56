import type { GateActivation } from '@frugal/tensor-core';
import {
  Attention,
  type Coupling,
  Embedding,
  GatedMLP,
  Linear,
  type ModelConfig,
  RMSNorm,
  RotaryEmbedding,
} from '@frugal/tensor-core/nn';
import { ConfigReader, ModelConfigError } from '../config-reader.js';
import { DecoderBlock, DecoderModel } from '../decoder.js';
import { type RopeTable, readRope } from '../rope-config.js';
import type { Family, Initializer, NameMap } from './family.js';

interface LlamaConfig {
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly epsilon: number;
  readonly activation: GateActivation;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly tied: boolean;
  readonly rope: RopeTable;
}

const activations: Record<string, GateActivation> = {
  silu: 'silu',
  gelu: 'gelu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
  relu: 'relu',
};

function readConfig(json: ModelConfig): LlamaConfig {
  const config = new ConfigReader(json);
  const hiddenSize = config.integer('hidden_size');
  const heads = config.integer('num_attention_heads');
  const keyHeads = config.integer('num_key_value_heads', heads);
  const headSize = config.integer('head_dim', hiddenSize / heads);
  const contextLength = config.integer('max_position_embeddings', 2048);
  if (heads % keyHeads !== 0) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'num_attention_heads must be a multiple of num_key_value_heads',
      got: `${heads} and ${keyHeads}`,
    });
  }
  const result: LlamaConfig = {
    hiddenSize,
    heads,
    keyHeads,
    headSize,
    contextLength,
    feedForwardSize: config.integer('intermediate_size'),
    layers: config.integer('num_hidden_layers'),
    vocabularySize: config.integer('vocab_size'),
    epsilon: config.number('rms_norm_eps', 1e-6),
    activation: activations[config.oneOf('hidden_act', Object.keys(activations), 'silu')],
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
    tied: config.boolean('tie_word_embeddings', false),
    rope: readRope(config, headSize, contextLength),
  };
  config.ignore('quantization_config');
  for (const dropout of ['attention_dropout', 'embd_pdrop']) config.only(dropout, 0);
  config.finish();
  return result;
}

function build(json: ModelConfig, initialize: Initializer): DecoderModel {
  const config = readConfig(json);
  const rotary = new RotaryEmbedding({ name: 'rope', ...config.rope });
  const embed = new Embedding(
    initialize('embed.weight', [config.vocabularySize, config.hiddenSize], 'embedding'),
  );
  const blocks = Array.from({ length: config.layers }, (_, i) => buildBlock(config, i, rotary, initialize));
  const norm = new RMSNorm(initialize('norm.weight', [config.hiddenSize], 'norm'), config.epsilon);
  const head = new Linear(
    config.tied
      ? embed.weight
      : initialize('head.weight', [config.vocabularySize, config.hiddenSize], 'embedding'),
  );
  const part = { shape: [config.keyHeads, config.headSize] };
  return new DecoderModel(embed, blocks, norm, head, {
    config: json,
    contextLength: config.contextLength,
    rotary,
    cacheSpec: blocks.map(() => ({ parts: ['key', 'value'].map((name) => ({ name, ...part })) })),
    ties: config.tied ? [{ path: 'head.weight', source: 'embed.weight' }] : [],
    couplings: couplings(config),
  });
}

function buildBlock(
  config: LlamaConfig,
  layer: number,
  rotary: RotaryEmbedding,
  initialize: Initializer,
): DecoderBlock {
  const { hiddenSize, feedForwardSize, heads, keyHeads, headSize, epsilon, attentionBias, mlpBias } = config;
  const prefix = `blocks.${layer}`;
  const linear = (path: string, inputs: number, outputs: number, bias: boolean, isOutput = false) =>
    new Linear(
      initialize(
        `${prefix}.${path}.weight`,
        [outputs, inputs],
        isOutput ? 'output-projection' : 'input-projection',
      ),
      bias ? initialize(`${prefix}.${path}.bias`, [outputs], 'bias') : null,
    );
  const norm = (path: string) =>
    new RMSNorm(initialize(`${prefix}.${path}.weight`, [hiddenSize], 'norm'), epsilon);
  return new DecoderBlock(
    norm('attentionNorm'),
    new Attention({
      query: linear('attention.query', hiddenSize, heads * headSize, attentionBias),
      key: linear('attention.key', hiddenSize, keyHeads * headSize, attentionBias),
      value: linear('attention.value', hiddenSize, keyHeads * headSize, attentionBias),
      output: linear('attention.output', heads * headSize, hiddenSize, attentionBias, true),
      layer,
      headSize,
      rotary,
    }),
    norm('mlpNorm'),
    new GatedMLP(
      linear('mlp.gate', hiddenSize, feedForwardSize, mlpBias),
      linear('mlp.up', hiddenSize, feedForwardSize, mlpBias),
      linear('mlp.down', feedForwardSize, hiddenSize, mlpBias, true),
      config.activation,
    ),
  );
}

function couplings({ layers, feedForwardSize, heads, keyHeads, headSize }: LlamaConfig): Coupling[] {
  const group = heads / keyHeads;
  return Array.from({ length: layers }, (_, i): Coupling[] => [
    {
      kind: 'ffn',
      path: `blocks.${i}.mlp`,
      units: feedForwardSize,
      members: [
        { path: `blocks.${i}.mlp.gate`, axis: 'rows', entriesPerUnit: 1 },
        { path: `blocks.${i}.mlp.up`, axis: 'rows', entriesPerUnit: 1 },
        { path: `blocks.${i}.mlp.down`, axis: 'columns', entriesPerUnit: 1 },
      ],
      config: (units) => ({ intermediate_size: units }),
    },
    {
      kind: 'attention',
      path: `blocks.${i}.attention`,
      units: keyHeads,
      members: [
        { path: `blocks.${i}.attention.query`, axis: 'rows', entriesPerUnit: group * headSize },
        { path: `blocks.${i}.attention.key`, axis: 'rows', entriesPerUnit: headSize },
        { path: `blocks.${i}.attention.value`, axis: 'rows', entriesPerUnit: headSize },
        { path: `blocks.${i}.attention.output`, axis: 'columns', entriesPerUnit: group * headSize },
      ],
      config: (units) => ({
        num_attention_heads: units * group,
        num_key_value_heads: units,
        head_dim: headSize,
      }),
    },
  ]).flat();
}

const names: NameMap = [
  ['embed', 'model.embed_tokens'],
  ['blocks.*.attentionNorm', 'model.layers.*.input_layernorm'],
  ['blocks.*.attention.query', 'model.layers.*.self_attn.q_proj'],
  ['blocks.*.attention.key', 'model.layers.*.self_attn.k_proj'],
  ['blocks.*.attention.value', 'model.layers.*.self_attn.v_proj'],
  ['blocks.*.attention.output', 'model.layers.*.self_attn.o_proj'],
  ['blocks.*.mlpNorm', 'model.layers.*.post_attention_layernorm'],
  ['blocks.*.mlp.gate', 'model.layers.*.mlp.gate_proj'],
  ['blocks.*.mlp.up', 'model.layers.*.mlp.up_proj'],
  ['blocks.*.mlp.down', 'model.layers.*.mlp.down_proj'],
  ['norm', 'model.norm'],
  ['head', 'lm_head'],
];

const ggufNames: NameMap = [
  ['embed', 'token_embd'],
  ['blocks.*.attentionNorm', 'blk.*.attn_norm'],
  ['blocks.*.attention.query', 'blk.*.attn_q'],
  ['blocks.*.attention.key', 'blk.*.attn_k'],
  ['blocks.*.attention.value', 'blk.*.attn_v'],
  ['blocks.*.attention.output', 'blk.*.attn_output'],
  ['blocks.*.mlpNorm', 'blk.*.ffn_norm'],
  ['blocks.*.mlp.gate', 'blk.*.ffn_gate'],
  ['blocks.*.mlp.up', 'blk.*.ffn_up'],
  ['blocks.*.mlp.down', 'blk.*.ffn_down'],
  ['norm', 'output_norm'],
  ['head', 'output'],
];

/** Llama 1 to 3 (Touvron et al. 2023), SmolLM, and whatever shares their config. */
export const llama: Family = {
  architectures: ['LlamaForCausalLM'],
  modelType: 'llama',
  build,
  names: () => names,
  ggufNames: () => ggufNames,
};
