import type { DType } from '@frugal/tensor-core';

/** What an NVIDIA GPU of some compute capability computes with. */
export interface CapabilityFacts {
  /** Dtypes of tensors: bf16 needs 8.0. */
  readonly dtypes: readonly DType[];
  /** What products of a training step or of generation are best made in. */
  readonly preferred: 'bf16' | 'f16' | 'f32';
  /** f16 has a small range: small gradients vanish without a loss scale. */
  readonly lossScale: boolean;
  /** One sentence for people. */
  readonly why: string;
}

/** The oldest compute capability that TensorFlow's wheels (2.18) have kernels for. */
export const oldestCapability = 6;

const withoutBf16: readonly DType[] = ['f32', 'f16', 'i8', 'u8', 'i32', 'bool'];
const all: readonly DType[] = ['f32', 'bf16', 'f16', 'i8', 'u8', 'i32', 'bool'];

/**
 * Chooses dtypes by compute capability (`7.5` for Turing): from 8.0 on (A100, RTX 30 and 40, H100) bf16; before that
 * (V100, T4, RTX 20) f16, which needs a loss scale; Pascal has no fast 16-bit products. Null when there is no device
 * that can run TensorFlow's kernels.
 */
export function factsOfCapability(capability: number): CapabilityFacts | null {
  if (!(capability >= oldestCapability)) return null;
  if (capability >= 8) {
    const why = 'bf16 on tensor cores, with the range of f32';
    return { dtypes: all, preferred: 'bf16', lossScale: false, why };
  }
  if (capability >= 7) {
    const why = 'no bf16 before compute capability 8.0: f16 on tensor cores, with a loss scale';
    return { dtypes: withoutBf16, preferred: 'f16', lossScale: true, why };
  }
  const why = 'no tensor cores before compute capability 7.0: f32, with f16 for storage';
  return { dtypes: withoutBf16, preferred: 'f32', lossScale: false, why };
}
