export { AdaptedLinear, type LowRank } from './adapted-linear.js';
export { AdapterBank } from './adapter-bank.js';
export { AdapterSet } from './adapter-set.js';
export { type AdapterOptions, attachAdapters, linearLayers, placeAdapters } from './attach.js';
export { AdapterError, LostTuningError } from './errors.js';
export { saveGgufAdapter } from './gguf/write.js';
export { attachLoftQ, type LoftQ, type LoftQOptions, loftq } from './loftq.js';
export { loraPlus } from './lora-plus.js';
export {
  type Adapters,
  type CombinationMethod,
  type CombinationOptions,
  combinationMethods,
  combineAdapters,
} from './merging/combine-adapters.js';
export { type ModelMergeOptions, type ModelMethod, mergeModels } from './merging/merge-models.js';
export { type MergeMeasurement, mergePacked, type PackedMergeOptions } from './merging/merge-packed.js';
export { mergeTasks, slerp, type TaskMethod, type TaskOptions } from './merging/merge-tasks.js';
export { loraAdd } from './modifier.js';
export { loadAdapter, type ReadAdapter, readAdapter } from './peft/read.js';
export { type SaveAdapterOptions, saveAdapter } from './peft/write.js';
export { attachPrincipalAdapters } from './principal-adapters.js';
export { type PrincipalParts, principalParts } from './principal-parts.js';
