import { type CacheDType, type CacheSpec, type CausalLM, homeOf, PackedLinear } from '../nn/index.js';
import { PagedKVCache } from './paged-cache.js';

export interface ModelCacheOptions {
  /** How many tokens fit in all. */
  readonly tokens: number;
  readonly pageSize?: number;
  /** Default: see {@link defaultCacheDType}. */
  readonly dtype?: CacheDType | undefined;
  /** Default: that of the model, extra blocks included. */
  readonly spec?: CacheSpec;
}

/** A cache for a model, each layer in the memory where its weights lie. */
export function modelCache(model: CausalLM, options: ModelCacheOptions): PagedKVCache {
  const { spec = model.cacheSpec, dtype = defaultCacheDType(model), ...sizes } = options;
  const { placement } = model;
  return new PagedKVCache(spec, { ...sizes, dtype, backend: homeOf(model), placement });
}

/**
 * How keys and values of a model are stored where nobody says otherwise: as a recipe has chosen, else like its activations, but as f16 where layers
 * round their inputs to 8 bits anyway, since reading the cache is then a large part of a step. A precise model (f32 or
 * bf16 activations everywhere) keeps what it computes.
 */
export function defaultCacheDType(model: CausalLM): CacheDType {
  if (model.cacheDType) return model.cacheDType;
  if (model.computeDType !== 'f32') return model.computeDType;
  for (const [, module] of model.namedModules()) {
    if (module instanceof PackedLinear && module.activation !== null) return 'f16';
  }
  return 'f32';
}
