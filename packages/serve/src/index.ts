export type {
  Engine,
  EngineStats,
  FinishReason,
  GenerationEvent,
  GenerationRequest,
  ModelCard,
  Prompt,
  TokenLogprobs,
  TokenProbability,
  Usage,
} from './engine/contract.js';
export { EngineError, type EngineErrorCode } from './engine/errors.js';
export { createEngine } from './engine/in-process-engine.js';
export type { EngineLimits } from './engine/limits.js';
export type { LoadedModel } from './engine/loaded-model.js';
export {
  closeOnSignal,
  ListenError,
  type RunningServer,
  type ServeOptions,
  serveModels,
} from './serve-models.js';
export { createServer, type ServerOptions } from './server/server.js';
