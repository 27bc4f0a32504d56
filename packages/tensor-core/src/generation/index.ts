export { type GenerateOptions, generate } from './generate.js';
export { CacheFullError, PagedKVCache, type PagedKVCacheOptions } from './paged-cache.js';
export { argMax, checkSampling, type SamplingOptions, sampleToken } from './sampling.js';
