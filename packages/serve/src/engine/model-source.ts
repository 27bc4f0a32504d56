import type { EngineLimits } from './limits.js';
import type { LoadedEncoder } from './loaded-encoder.js';
import type { LoadedModel } from './loaded-model.js';

export type ServedModel = LoadedModel | LoadedEncoder;

/** A model that the engine loads when it is asked for, and gives up when its memory is needed for others. */
export interface ModelSource {
  /** What requests call it. */
  readonly name: string;
  /** About how large its weights are, until it was loaded once. Default 0: room is made afterwards. */
  readonly bytes?: number | undefined;
  /** Called again after each `unload`. */
  load(): Promise<ServedModel>;
  /** Frees what `load` returned. */
  unload(model: ServedModel): void | Promise<void>;
}

export interface ModelPoolLimits extends EngineLimits {
  /**
   * Memory for weights and caches of all models that are loaded, in bytes; adapters do not count. Where it gets short, the one
   * that was used longest ago goes, once its requests have finished. Default: all stay.
   */
  readonly modelBytes?: number | undefined;
}
