import {
  type Backend,
  currentBackend,
  ones,
  Random,
  scope,
  type Tensor,
  withBackend,
  zeros,
} from '@frugal/tensor-core';
import type { CausalLM, Model, ModelConfig } from '@frugal/tensor-core/nn';
import type { EncoderModel } from './encoder.js';
import type { Family, Initializer } from './families/family.js';
import { encoderFamilyOf, familyOf, tabularFamilyOf } from './registry.js';
import type { TabularModel } from './tabular.js';

/**
 * A new model with random weights: matrices with standard deviation inputs^-0.5, those that write into the residual
 * stream also divided by √(2 · layers) (Radford et al. 2019), embeddings 0.02, norms 1, biases 0. Each parameter has
 * a random stream of its own, so its values depend on seed, path and shape alone.
 */
export function createModel(config: ModelConfig, options: CreateModelOptions): CausalLM {
  return create(familyOf(config), config, options);
}

/** {@link createModel} for encoders. */
export function createEncoder(config: ModelConfig, options: CreateModelOptions): EncoderModel {
  return create(encoderFamilyOf(config), config, options);
}

/** {@link createModel} for tabular models. */
export function createTabular(config: ModelConfig, options: CreateModelOptions): TabularModel {
  return create(tabularFamilyOf(config), config, options);
}

export interface CreateModelOptions {
  readonly seed: number;
  readonly backend?: Backend;
}

function create<M extends Model>(
  family: Family<M>,
  config: ModelConfig,
  { seed, backend = currentBackend() }: CreateModelOptions,
): M {
  const layers = Number(config.num_hidden_layers ?? 1);
  const random = new Random(seed);
  return withBackend(backend, () => family.build(config, randomInitializer(random, layers)));
}

function randomInitializer(random: Random, layers: number): Initializer {
  return (path, shape, kind) => {
    const normal = (std: number): Tensor => scope(() => random.fork(hashPath(path)).normal(shape).mul(std));
    const inputs = shape[shape.length - 1]; // stacks of experts have another axis in front
    switch (kind) {
      case 'embedding':
        return normal(0.02);
      case 'input-projection':
        return normal(inputs ** -0.5);
      case 'output-projection':
        return normal(inputs ** -0.5 / Math.sqrt(2 * layers));
      case 'norm':
        return ones(shape);
      case 'bias':
      case 'norm-from-one':
        return zeros(shape);
    }
  };
}

/** FNV-1a, 32 bits. */
function hashPath(path: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
