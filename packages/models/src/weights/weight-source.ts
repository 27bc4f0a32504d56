import type { TensorSource } from '@frugal/checkpoint';
import type { PackedTensor, Tensor } from '@frugal/tensor-core';
import { packedFormat, recommendedActivation } from '@frugal/tensor-core/formats';
import type { ActivationFormat, ModelConfig } from '@frugal/tensor-core/nn';
import type { StoredTensors } from './stored-tensors.js';

/** A matrix that the file holds packed. */
export interface StoredMatrix {
  readonly format: string;
  /** Tensors of the file that it is made of. */
  readonly tensors: readonly string[];
  /** How activations are quantised before they meet this matrix; null for f32. */
  readonly activation: ActivationFormat | null;
  /** What is wrong with those tensors: other shapes or types than the format has. */
  readonly problems: readonly string[];
  /** Only to be called when there are no problems. */
  load(tensors: StoredTensors): Promise<PackedTensor>;
}

/** The quantisation of activations that costs nothing worth speaking of beside the format's own rounding. */
export function suitedActivation(format: string): ActivationFormat | null {
  if (!isKnownFormat(format)) return null; // refused later, with all other problems
  const activation = recommendedActivation(format);
  return activation === 'none' ? null : activation;
}

/** Names of families of formats are read by their grammar, so that there is no list of all. */
export function isKnownFormat(format: string): boolean {
  try {
    packedFormat(format);
    return true;
  } catch {
    return false;
  }
}

/** A checkpoint as a model sees it: config.json's terms, and weights by our own paths, whatever the file calls them. */
export interface WeightSource {
  readonly config: ModelConfig;
  /** The tensors by the names that `nameOf` gives. */
  readonly tensors: TensorSource;
  /** Our parameter or module path → name in the file. */
  nameOf(path: string): string | undefined;
  /** The matrix of the module at `path`, of the given shape, when it is stored packed; null when it is not. */
  matrix(path: string, shape: readonly [rows: number, columns: number]): StoredMatrix | null;
  /** Row r of the parameter at `path` is row `order[r]` in the file; null when they agree. */
  rowOrder?(path: string, rows: number): Int32Array | null;
  /** Undoes what the file's converter did to the values of a dense parameter. */
  restore?(path: string, values: Tensor): Tensor;
  /** Whether a tensor of the file may be left unread. */
  isOptional(name: string): boolean;
}
