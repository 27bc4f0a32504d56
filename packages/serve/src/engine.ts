/** The engine without the HTTP server: `@frugal/serve/engine`. */
export type {
  AdapterName,
  AdapterSource,
  Encoding,
  EncodingInput,
  EncodingRequest,
  Engine,
  EngineStats,
  FinishReason,
  GenerationEvent,
  GenerationRequest,
  ModelCard,
  ModelTask,
  Prompt,
  TokenLogprobs,
  TokenProbability,
  Usage,
} from './engine/contract.js';
export { EngineError, type EngineErrorCode } from './engine/errors.js';
export { createEngine, openEngine } from './engine/in-process-engine.js';
export type { EngineLimits } from './engine/limits.js';
export type { LoadedEncoder } from './engine/loaded-encoder.js';
export type { AdapterHost, LoadedModel } from './engine/loaded-model.js';
export type { ModelPoolLimits, ModelSource, ServedModel } from './engine/model-source.js';
export type { OutputFormat } from './grammar/index.js';
export { EngineStartError } from './process/child.js';
export { runEngine } from './process/run-engine.js';
export { type EngineNotice, type EngineProcessOptions, spawnEngine } from './process/spawn-engine.js';
export { boundYoungGeneration } from './process/young-generation.js';
