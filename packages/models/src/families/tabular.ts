import { type Block, type Coupling, type ModelConfig, Parameter } from '@frugal/tensor-core/nn';
import { buildAttention, buildGated } from '../build-decoder.js';
import { ConfigReader, ModelConfigError } from '../config-reader.js';
import { headCoupling, neurons } from '../couplings.js';
import { DecoderBlock } from '../decoder.js';
import { activations, headSizeOf } from '../decoder-config.js';
import type { DenseShape, HeadsShape } from '../decoder-shape.js';
import { LayerMaker } from '../layer-maker.js';
import { FeatureEmbedding, ResidualMLP, TabularModel } from '../tabular.js';
import type { Family, Initializer } from './family.js';

interface TabularConfig {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly numeric: number;
  readonly categories: readonly number[];
  readonly outputs: number;
  readonly epsilon: number;
  readonly mlp: DenseShape;
  readonly attention: HeadsShape | null;
}

function readConfig(json: ModelConfig, kind: 'transformer' | 'mlp'): TabularConfig {
  const config = new ConfigReader(json);
  const hiddenSize = config.integer('hidden_size');
  const activation = activations[config.oneOf('hidden_act', Object.keys(activations), 'relu')];
  const result: TabularConfig = {
    hiddenSize,
    layers: config.integer('num_hidden_layers'),
    numeric: config.count('numeric_features', 0),
    categories: config.integers('category_sizes') ?? [],
    outputs: config.integer('num_outputs'),
    epsilon: config.number('rms_norm_eps', 1e-6),
    mlp: { kind: 'dense', size: config.integer('intermediate_size'), activation, bias: true },
    attention: kind === 'transformer' ? readAttention(config, hiddenSize) : null,
  };
  config.ignore('quantization_config', 'tie_word_embeddings');
  config.finish();
  if (result.numeric + result.categories.length > 0 && result.categories.every((size) => size > 0))
    return result;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'a tabular model needs features',
    got: `numeric_features ${result.numeric}, category_sizes [${result.categories.join(', ')}]`,
    expected: 'numbers, or categories of at least one value each',
  });
}

function readAttention(config: ConfigReader, hiddenSize: number): HeadsShape {
  const heads = config.integer('num_attention_heads');
  const keyHeads = config.integer('num_key_value_heads', heads);
  const headSize = config.integerOrNull('head_dim', null) ?? headSizeOf(hiddenSize, heads);
  const bias = { input: true, output: true };
  return { kind: 'heads', heads, keyHeads, headSize, bias, rotary: null, causal: false };
}

function build(json: ModelConfig, initialize: Initializer, kind: 'transformer' | 'mlp'): TabularModel {
  const config = readConfig(json, kind);
  const { hiddenSize, layers, numeric, categories, outputs, epsilon, mlp, attention } = config;
  const make = new LayerMaker(initialize, epsilon);
  const features = numeric + categories.length;
  const entries = categories.reduce((sum, size) => sum + size, 0);
  const embedding = (name: string, rows: number) =>
    initialize(`features.${name}`, [rows, hiddenSize], 'embedding');
  const block = (i: number): Block =>
    attention
      ? new DecoderBlock({
          attentionNorm: make.norm(`blocks.${i}.attentionNorm`, hiddenSize),
          attention: buildAttention(make, `blocks.${i}.attention`, hiddenSize, attention, i),
          mlpNorm: make.norm(`blocks.${i}.mlpNorm`, hiddenSize),
          mlp: buildGated(make, `blocks.${i}.mlp`, hiddenSize, mlp),
        })
      : new ResidualMLP(
          make.norm(`blocks.${i}.mlpNorm`, hiddenSize),
          buildGated(make, `blocks.${i}.mlp`, hiddenSize, mlp),
        );
  return new TabularModel(
    new FeatureEmbedding(
      embedding('weight', numeric),
      embedding('bias', features),
      embedding('categories.weight', entries),
      categories,
    ),
    attention
      ? new Parameter(initialize('entry', [1, hiddenSize], 'embedding'))
      : make.linear('entry', [features * hiddenSize, hiddenSize], { bias: true }),
    Array.from({ length: layers }, (_, i) => block(i)),
    make.norm('norm', hiddenSize),
    make.linear('head', [hiddenSize, outputs], { bias: true }),
    { config: json, couplings: couplings(config), normGroups: normGroups(config) },
  );
}

function couplings({ layers, mlp, attention }: TabularConfig): Coupling[] {
  return Array.from({ length: layers }, (_, i) => [
    neurons(`blocks.${i}.mlp`, mlp.size, (units) => ({ intermediate_size: units })),
    ...(attention ? [headCoupling(`blocks.${i}.attention`, attention)] : []),
  ]).flat();
}

function normGroups({ layers, attention }: TabularConfig) {
  const group = (norm: string, path: string, names: readonly string[]) => ({
    norm,
    consumers: names.map((name) => `${path}.${name}`),
  });
  const ofBlock = (path: string) => [
    ...(attention ? [group(`${path}.attentionNorm`, `${path}.attention`, ['query', 'key', 'value'])] : []),
    group(`${path}.mlpNorm`, `${path}.mlp`, ['gate', 'up']),
  ];
  const blocks = Array.from({ length: layers }, (_, i) => ofBlock(`blocks.${i}`)).flat();
  return [...blocks, { norm: 'norm', consumers: ['head'] }];
}

/** Our own layout: names of the file are the paths of the model. */
const names = () =>
  ['features', 'entry', 'blocks', 'norm', 'head'].map((name): [string, string] => [name, name]);

/** FT-Transformer (Gorishniy et al. 2021, arXiv:2106.11959): each feature of a row is a token. */
export const tabularTransformer: Family<TabularModel> = {
  architectures: ['FrugalTabularTransformer'],
  modelType: 'frugal_tabular',
  build: (config, initialize) => build(config, initialize, 'transformer'),
  names,
};

/** A residual MLP over all features of a row (the same paper's ResNet). */
export const tabularMlp: Family<TabularModel> = {
  architectures: ['FrugalTabularMLP'],
  modelType: 'frugal_tabular',
  build: (config, initialize) => build(config, initialize, 'mlp'),
  names,
};
