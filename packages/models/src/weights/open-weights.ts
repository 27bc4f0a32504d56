import type { Checkpoint } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { toTheirs } from '../families/family.js';
import { ggufConfig, ggufWeights } from '../gguf/gguf-weights.js';
import { readQuantization, storedMatrix } from '../quantized-layout.js';
import { namesOf } from '../registry.js';
import type { WeightSource } from './weight-source.js';

/** @throws ModelConfigError when config or metadata cannot be understood */
export async function openWeights(checkpoint: Checkpoint): Promise<WeightSource> {
  return checkpoint.kind === 'gguf' ? ggufWeights(checkpoint) : huggingFaceWeights(checkpoint);
}

/** The config of a model in Hugging Face's terms, whatever holds it. */
export async function configOf(checkpoint: Checkpoint): Promise<ModelConfig> {
  return checkpoint.kind === 'gguf' ? ggufConfig(checkpoint) : checkpoint.config;
}

function huggingFaceWeights({ config, tensors }: Checkpoint): WeightSource {
  const names = namesOf(config);
  const quantization = readQuantization(config);
  const nameOf = (path: string) => toTheirs(names, path);
  return {
    config,
    nameOf,
    matrix(path, shape) {
      const base = nameOf(path);
      return quantization && base ? storedMatrix(base, shape, quantization, tensors.entries) : null;
    },
    // Rotary tables of old checkpoints are computed anew.
    isOptional: (name) => name.endsWith('rotary_emb.inv_freq'),
  };
}
