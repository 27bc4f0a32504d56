import type { GateActivation } from '@frugal/tensor-core';
import type { ConfigReader } from './config-reader.js';
import { ModelConfigError } from './config-reader.js';
import type { DenseShape, MixtureShape } from './decoder-shape.js';

/** What the configs of nearly all decoders say in the same words. */
export interface StandardConfig {
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
  readonly tied: boolean;
}

/** What a family means by a field that is left out: the defaults of its class in transformers. */
export interface StandardDefaults {
  readonly keyHeads?: number;
  /** Default hidden_size / num_attention_heads. */
  readonly headSize?: number;
  readonly contextLength?: number;
  readonly epsilon?: number;
  readonly tied?: boolean;
  /** Name and default of the activation. */
  readonly activation?: readonly [field: string, value: string];
}

export const activations: Record<string, GateActivation> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
  relu: 'relu',
};

/** @throws ModelConfigError for missing and impossible sizes */
export function readStandard(config: ConfigReader, defaults: StandardDefaults = {}): StandardConfig {
  const hiddenSize = config.integer('hidden_size');
  const heads = config.integer('num_attention_heads');
  const keyHeads = config.integerOrNull('num_key_value_heads', defaults.keyHeads ?? null) ?? heads;
  const headSize =
    config.integerOrNull('head_dim', defaults.headSize ?? null) ?? headSizeOf(hiddenSize, heads);
  if (heads % keyHeads !== 0) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'num_attention_heads must be a multiple of num_key_value_heads',
      got: `${heads} and ${keyHeads}`,
    });
  }
  const [field, fallback] = defaults.activation ?? ['hidden_act', 'silu'];
  // A packed model says so here; its weights tell the rest.
  config.ignore('quantization_config');
  for (const dropout of ['attention_dropout', 'embd_pdrop', 'resid_pdrop', 'hidden_dropout'])
    config.only(dropout, 0);
  return {
    hiddenSize,
    heads,
    keyHeads,
    headSize,
    feedForwardSize: config.integer('intermediate_size'),
    layers: config.integer('num_hidden_layers'),
    vocabularySize: config.integer('vocab_size'),
    contextLength: config.integer('max_position_embeddings', defaults.contextLength ?? 2048),
    epsilon: config.number('rms_norm_eps', defaults.epsilon ?? 1e-6),
    activation: activations[config.oneOf(field, Object.keys(activations), fallback)],
    tied: config.boolean('tie_word_embeddings', defaults.tied ?? false),
  };
}

/** @throws ModelConfigError when heads do not divide the hidden size */
export function headSizeOf(hiddenSize: number, heads: number): number {
  if (hiddenSize % heads === 0) return hiddenSize / heads;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'field head_dim is left out, and heads do not divide the hidden size',
    got: `hidden_size ${hiddenSize} / num_attention_heads ${heads} = ${hiddenSize / heads}`,
    expected: 'a positive integer',
  });
}

export function denseShape(
  { feedForwardSize, activation }: StandardConfig,
  bias = false,
  size = feedForwardSize,
): DenseShape {
  return { kind: 'dense', size, activation, bias };
}

/**
 * The mixture itself. `expertField` is what the config calls the number of experts.
 * @throws ModelConfigError when there are fewer experts, in all or in the chosen groups, than a token takes
 */
export function routable(mixture: MixtureShape, expertField: string): MixtureShape {
  const { experts, routing } = mixture;
  const { chosen, groups } = routing;
  const refuse = (fields: string, got: string, expected: string): never => {
    throw new ModelConfigError({ where: 'config.json', what: `fields ${fields}`, got, expected });
  };
  if (chosen > experts)
    refuse(`num_experts_per_tok and ${expertField}`, `${chosen} of ${experts}`, 'no more than there are');
  if (!groups) return mixture;
  if (experts % groups.count !== 0)
    refuse(`n_group and ${expertField}`, `${groups.count} groups of ${experts}`, 'groups of the same size');
  if (groups.chosen > groups.count)
    refuse('topk_group and n_group', `${groups.chosen} of ${groups.count}`, 'no more than there are');
  const reachable = (experts / groups.count) * groups.chosen;
  if (chosen > reachable)
    refuse(
      `num_experts_per_tok, topk_group, n_group and ${expertField}`,
      `${chosen} experts from ${groups.chosen} groups that have ${reachable}`,
      'no more than the chosen groups have',
    );
  return mixture;
}

export type LayerType = 'full_attention' | 'sliding_attention';

/**
 * Whether each layer sees everything or only a window: `layer_types` of newer configs, else the family's rule.
 * @throws ModelConfigError when the list does not fit the layers
 */
export function readLayerTypes(
  config: ConfigReader,
  layers: number,
  rule: (layer: number) => LayerType,
): LayerType[] {
  const types = config.list('layer_types', ['full_attention', 'sliding_attention'] as const);
  if (!types) return Array.from({ length: layers }, (_, i) => rule(i));
  if (types.length === layers) return types;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'layer_types does not fit num_hidden_layers',
    got: `${types.length} types`,
    expected: `${layers}, one per layer`,
  });
}

/** The window of each layer. @throws ModelConfigError when a layer slides and there is no window */
export function windowsOf(types: readonly LayerType[], window: number | null): (number | undefined)[] {
  return types.map((type) => {
    if (type === 'full_attention') return undefined;
    if (window !== null) return window;
    throw new ModelConfigError({
      where: 'config.json',
      what: 'layer_types has sliding layers, but there is no window',
      got: 'sliding_window null, or use_sliding_window false',
      expected: 'a positive integer',
    });
  });
}
