export { chooseRows, type RowChoice } from './choose-rows.js';
export { FEW, type TokenConstraint } from './constraint.js';
export type { Draft, DraftSequence, DraftText } from './draft.js';
export { draftModel } from './draft-model.js';
export { type GenerateOptions, generate } from './generate.js';
export {
  type BatchOptions,
  type GeneratedToken,
  type GenerationRequest,
  generateBatch,
} from './generate-batch.js';
export { type Logprobs, logprobsOf } from './logprobs.js';
export { defaultCacheDType, type ModelCacheOptions, modelCache } from './model-cache.js';
export { ModelSteps, type StepPart, type StepResult } from './model-step.js';
export { PagePool } from './page-pool.js';
export { CacheFullError, PagedKVCache, type PagedKVCacheOptions } from './paged-cache.js';
export { checkPenalties, type PenaltyOptions, TokenHistory } from './penalties.js';
export { predictionDraft } from './prediction-draft.js';
export { type PromptLookupOptions, promptLookup } from './prompt-lookup.js';
export { type AcceptedToken, RunningText, type RunningTextOptions } from './running-text.js';
export { type ChosenToken, checkSampler, Sampler, type SamplerOptions } from './sampler.js';
export {
  argMax,
  checkSampling,
  type SamplingOptions,
  type SamplingRequest,
  sampleToken,
  sampleTokens,
} from './sampling.js';
export { type StepOutput, StepRecorder } from './step-recorder.js';
export { StopStrings } from './stop-strings.js';
export { computeTexts, type PlannedText, type RowChoices } from './text-step.js';
export { TextStream, type TokenDecoder } from './text-stream.js';
