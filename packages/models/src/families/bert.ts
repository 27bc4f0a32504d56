import type { GateActivation } from '@frugal/tensor-core';
import { Attention, type Coupling, type ModelConfig } from '@frugal/tensor-core/nn';
import { ConfigReader } from '../config-reader.js';
import { activations, headSizeOf } from '../decoder-config.js';
import { EncoderBlock, EncoderModel, PlainMLP } from '../encoder.js';
import { LayerMaker } from '../layer-maker.js';
import type { Family, Initializer, NameMap } from './family.js';

interface BertConfig {
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly types: number;
  readonly epsilon: number;
  readonly activation: GateActivation;
  readonly classes: number;
}

function readConfig(json: ModelConfig): BertConfig {
  const config = new ConfigReader(json);
  const labels = json.id2label as object | undefined;
  const result: BertConfig = {
    hiddenSize: config.integer('hidden_size'),
    feedForwardSize: config.integer('intermediate_size'),
    layers: config.integer('num_hidden_layers'),
    heads: config.integer('num_attention_heads'),
    vocabularySize: config.integer('vocab_size'),
    contextLength: config.integer('max_position_embeddings', 512),
    types: config.integer('type_vocab_size', 2),
    epsilon: config.number('layer_norm_eps', 1e-12),
    activation: activations[config.oneOf('hidden_act', Object.keys(activations), 'gelu')],
    classes: config.integer('num_labels', labels ? Object.keys(labels).length : 2),
  };
  config.oneOf('position_embedding_type', ['absolute'], 'absolute');
  config.only('add_cross_attention', false);
  config.only('is_decoder', false);
  // Nothing is dropped here, in training neither. A model has no head of its own to tie.
  config.ignore('hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout');
  config.ignore('quantization_config', 'tie_word_embeddings', 'gradient_checkpointing');
  headSizeOf(result.hiddenSize, result.heads);
  config.finish();
  return result;
}

function build(json: ModelConfig, initialize: Initializer, isClassifier: boolean): EncoderModel {
  const config = readConfig(json);
  const { hiddenSize, vocabularySize, contextLength, types, epsilon, classes } = config;
  const make = new LayerMaker(initialize, epsilon);
  const bias = { bias: true };
  return new EncoderModel(
    {
      embed: make.embedding('embed', vocabularySize, hiddenSize),
      positionEmbed: make.embedding('positionEmbed', contextLength, hiddenSize),
      typeEmbed: make.embedding('typeEmbed', types, hiddenSize),
      embedNorm: make.layerNorm('embedNorm', hiddenSize),
    },
    Array.from({ length: config.layers }, (_, i) => buildBlock(make, config, i)),
    make.linear('pooler', [hiddenSize, hiddenSize], bias),
    isClassifier ? make.linear('classifier', [hiddenSize, classes], bias) : null,
    // Behind a norm that comes last the residual stream reads its output too: no scale can move from it.
    { config: json, contextLength, couplings: couplings(config), normGroups: [] },
  );
}

function buildBlock(
  make: LayerMaker,
  { hiddenSize, feedForwardSize, heads, activation }: BertConfig,
  layer: number,
): EncoderBlock {
  const path = `blocks.${layer}`;
  const linear = (name: string, inputs: number, outputs: number, output = false) =>
    make.linear(`${path}.${name}`, [inputs, outputs], { bias: true, output });
  return new EncoderBlock(
    new Attention({
      query: linear('attention.query', hiddenSize, hiddenSize),
      key: linear('attention.key', hiddenSize, hiddenSize),
      value: linear('attention.value', hiddenSize, hiddenSize),
      output: linear('attention.output', hiddenSize, hiddenSize, true),
      layer,
      headSize: hiddenSize / heads,
      rotary: null,
      causal: false,
    }),
    make.layerNorm(`${path}.attentionNorm`, hiddenSize),
    new PlainMLP(
      linear('mlp.up', hiddenSize, feedForwardSize),
      linear('mlp.down', feedForwardSize, hiddenSize, true),
      activation,
    ),
    make.layerNorm(`${path}.mlpNorm`, hiddenSize),
  );
}

/** Neurons alone: the config says no head size, so heads can only be removed with channels. */
function couplings({ layers, feedForwardSize }: BertConfig): Coupling[] {
  return Array.from({ length: layers }, (_, i) => ({
    kind: 'ffn',
    path: `blocks.${i}.mlp`,
    units: feedForwardSize,
    members: [
      { path: `blocks.${i}.mlp.up`, axis: 'rows', entriesPerUnit: 1 },
      { path: `blocks.${i}.mlp.down`, axis: 'columns', entriesPerUnit: 1 },
    ],
    config: (units) => ({ intermediate_size: units }),
  }));
}

function names(prefix: string): NameMap {
  const layer = `${prefix}encoder.layer.*`;
  return [
    ['embed', `${prefix}embeddings.word_embeddings`],
    ['positionEmbed', `${prefix}embeddings.position_embeddings`],
    ['typeEmbed', `${prefix}embeddings.token_type_embeddings`],
    ['embedNorm', `${prefix}embeddings.LayerNorm`],
    ['blocks.*.attention.query', `${layer}.attention.self.query`],
    ['blocks.*.attention.key', `${layer}.attention.self.key`],
    ['blocks.*.attention.value', `${layer}.attention.self.value`],
    ['blocks.*.attention.output', `${layer}.attention.output.dense`],
    ['blocks.*.attentionNorm', `${layer}.attention.output.LayerNorm`],
    ['blocks.*.mlp.up', `${layer}.intermediate.dense`],
    ['blocks.*.mlp.down', `${layer}.output.dense`],
    ['blocks.*.mlpNorm', `${layer}.output.LayerNorm`],
    ['pooler', `${prefix}pooler.dense`],
    ['classifier', 'classifier'],
  ];
}

/** Positions are counted anew. */
const repeats = (name: string) => name.endsWith('embeddings.position_ids');

/** BERT and MiniLM as encoders (Devlin et al. 2018, arXiv:1810.04805). */
export const bert: Family<EncoderModel> = {
  architectures: ['BertModel'],
  modelType: 'bert',
  build: (config, initialize) => build(config, initialize, false),
  names: () => names(''),
  repeats,
};

/** The same with a classifier over the first token. */
export const bertClassifier: Family<EncoderModel> = {
  architectures: ['BertForSequenceClassification'],
  modelType: 'bert',
  build: (config, initialize) => build(config, initialize, true),
  names: () => names('bert.'),
  repeats,
};
