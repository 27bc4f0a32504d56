import type { AdapterSource, ModelPoolLimits } from '@frugal/serve/engine';
import type { BackendOptions } from '../backend.js';
import type { NamedPlace } from '../placement.js';

/** A model that the engine loads itself, from a path that `modelPath` gave. */
export interface ModelSource {
  readonly name: string;
  readonly path: string;
  /** Of its files of weights. */
  readonly bytes: number;
  /** Bytes of experts in memory; undefined: all. */
  readonly expertMemory?: number | undefined;
  /** Blocks that other backends compute. */
  readonly place?: readonly NamedPlace[] | undefined;
}

/** What the process of the engine is told. */
export interface EngineSettings {
  readonly models: readonly ModelSource[];
  readonly backend: BackendOptions;
  readonly limits?: ModelPoolLimits | undefined;
  /** Loaded at the start. */
  readonly adapters: readonly AdapterSource[];
}
