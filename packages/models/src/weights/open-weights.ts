import {
  type Checkpoint,
  CheckpointFormatError,
  type FindQuantized,
  openQuantized,
  type QuantizedMatrix,
} from '@frugal/checkpoint';
import { PackedTensor } from '@frugal/tensor-core';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import { toTheirs } from '../families/family.js';
import { ggufConfig, ggufWeights } from '../gguf/gguf-weights.js';
import { anyFamilyOf } from '../registry.js';
import { type StoredMatrix, suitedActivation, type WeightSource } from './weight-source.js';

/** @throws ModelConfigError when config or metadata cannot be understood */
export async function openWeights(checkpoint: Checkpoint): Promise<WeightSource> {
  return checkpoint.kind === 'gguf' ? ggufWeights(checkpoint) : huggingFaceWeights(checkpoint);
}

/** The config of a model in Hugging Face's terms, whatever holds it. */
export async function configOf(checkpoint: Checkpoint): Promise<ModelConfig> {
  return checkpoint.kind === 'gguf' ? ggufConfig(checkpoint) : checkpoint.config;
}

function huggingFaceWeights({ config: written, tensors }: Checkpoint): WeightSource {
  const family = anyFamilyOf(written);
  const config = family.fit?.(written, (name) => tensors.entries.has(name)) ?? written;
  const names = family.names(config);
  const find = findQuantized(config, tensors);
  const nameOf = (path: string) => toTheirs(names, path);
  return {
    config,
    tensors,
    nameOf,
    matrix(path, shape) {
      const base = nameOf(path);
      const matrix = base ? find(base, shape) : null;
      return matrix && storedMatrix(matrix);
    },
    // Rotary tables of old checkpoints are computed anew.
    isOptional: (name) => name.endsWith('rotary_emb.inv_freq') || (family.repeats?.(name) ?? false),
  };
}

/** @throws ModelConfigError for a `quantization_config` that is not understood */
function findQuantized(config: ModelConfig, tensors: Checkpoint['tensors']): FindQuantized {
  try {
    return openQuantized(config, tensors);
  } catch (cause) {
    if (!(cause instanceof CheckpointFormatError)) throw cause;
    const { where, what, got, expected } = cause;
    throw new ModelConfigError({ where, what, got, expected, cause });
  }
}

function storedMatrix({ format, shape, tensors, problems, activation, read }: QuantizedMatrix): StoredMatrix {
  return {
    format,
    tensors,
    problems,
    activation:
      activation === 'suited' ? suitedActivation(format) : activation === 'none' ? null : activation,
    load: async ({ backend }) => PackedTensor.fromParts(format, shape, await read(), backend),
  };
}
