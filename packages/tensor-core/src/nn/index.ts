export { Attention, type AttentionOptions } from './attention.js';
export {
  attendToCache,
  type CacheDType,
  type CachedSource,
  type CacheLayerSpec,
  type CachePart,
  type CacheSpec,
  type CacheView,
  cacheDTypes,
  type KVCache,
  type StoredPart,
} from './cache.js';
export { Dropout } from './dropout.js';
export { Embedding, type EmbeddingLike, PackedEmbedding } from './embedding.js';
export type { Encoder, EncoderOutput, Pooling } from './encoder.js';
export { GatedMLP } from './gated-mlp.js';
export { beforeForward, isWatched, onForward } from './hooks.js';
export {
  type ActivationFormat,
  type Epilogue,
  forwardInto,
  isLinearLike,
  Linear,
  type LinearLike,
  PackedLinear,
  type Products,
  type RowContext,
} from './linear.js';
export { nextTokenLoss, requireRows, type StreamOptions, streamLogits, weightedSum } from './loss.js';
export type {
  Block,
  CausalLM,
  Coupling,
  CouplingMember,
  GgufLayout,
  LogitHead,
  Model,
  ModelConfig,
  ModuleNames,
  NormGroup,
  Output,
  Score,
  StepContext,
  Tie,
} from './model.js';
export { bytesInTurn, modelBytes } from './model-bytes.js';
export { Buffer, Module, Parameter } from './module.js';
export { ModuleState } from './module-state.js';
export { LayerNorm, RMSNorm } from './norm.js';
export { packedTensors } from './packed-tensors.js';
export { type BlockPlace, homeOf, moveModule, placeBlocks } from './placement.js';
export { type DynamicRope, RotaryEmbedding, type RotaryOptions } from './rotary.js';
export { type RunBlocksOptions, runBlocks } from './run-blocks.js';
export { batchInputs, type StepBatch, type StepBatchOptions, stepBatch } from './step-batch.js';
export {
  type BatchSource,
  nextTokenBatch,
  type StoredDistributions,
  type TrainBatch,
} from './train-batch.js';
