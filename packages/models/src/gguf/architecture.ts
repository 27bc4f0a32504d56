import type { GgufValue, TensorEntry } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { LatentSizes } from './latent-rows.js';
import type { GgufMetadataReader } from './metadata-reader.js';

/** Tensors of a GGUF file by their name there. */
export type GgufEntries = ReadonlyMap<string, TensorEntry>;

/** What a config is read from. */
export interface GgufFile {
  readonly reader: GgufMetadataReader;
  readonly entries: GgufEntries;
  /** `rope_freqs.weight`: by what each rotary frequency is divided. */
  readonly ropeFactors: Float32Array | null;
}

/** How the rows of a stored matrix are ordered, where it is not as in the model. */
export interface RowOrder {
  /** Rows of one head: rotary pairs (i, i + headSize / 2) are stored side by side. */
  readonly headSize: number;
}

/** What one `general.architecture` of GGUF means: its metadata as config.json, and how its values differ. */
export interface GgufArchitecture {
  /** `general.architecture`, also the prefix of its keys. */
  readonly name: string;
  /** `architectures[0]` of the config.json that are written as this. */
  readonly writes: readonly string[];
  /** config.json of the model in the file. */
  readConfig(file: GgufFile): ModelConfig;
  /** The other direction: keys without the prefix. @throws ModelConfigError for settings that GGUF cannot hold */
  writeConfig(config: ModelConfig): Record<string, GgufValue>;
  /** How rows of the module at `path` are reordered in the file; null when they are not. */
  rowOrder?(path: string, config: ModelConfig): RowOrder | null;
  /** What the converter added to every value of the parameter at `path` (Gemma stores 1 + w). */
  addedTo?(path: string): number;
  /** Sizes of latent attention, whose one matrix of keys and values the file splits. */
  latentSizes?(config: ModelConfig): LatentSizes;
  /** Whether the parameter at `path` has no place in the file, and the rest is a model without it. */
  leavesOut?(path: string): boolean;
}
