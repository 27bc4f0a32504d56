import { type CacheDType, type CausalLM, PackedLinear } from '../nn/index.js';

/**
 * How keys and values of a model are stored where nobody says otherwise: like its activations, but as f16 where layers
 * round their inputs to 8 bits anyway, since reading the cache is then a large part of a step. A precise model (f32 or
 * bf16 activations everywhere) keeps what it computes.
 */
export function defaultCacheDType(model: CausalLM): CacheDType {
  if (model.computeDType !== 'f32') return model.computeDType;
  for (const [, module] of model.namedModules()) {
    if (module instanceof PackedLinear && module.activation !== null) return 'f16';
  }
  return 'f32';
}
