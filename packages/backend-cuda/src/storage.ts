import { type Backend, Storage } from '@frugal/tensor-core';
import type { Value } from './binding.js';

/**
 * Memory of the device. TensorFlow's tensors never change, so a storage is a place for the handle of its newest one;
 * handles share memory, and copying one costs nothing. What is written row by row (a KV cache) becomes a variable.
 */
export class CudaStorage extends Storage {
  /** The newest elements, in any shape; null before anything was written, and while `bytes` or `variable` has them. */
  value: Value | null = null;
  /** What was uploaded, until the first use tells its element type. */
  bytes: Uint8Array | null = null;
  /** A resource whose tensor is changed in place. */
  variable: { readonly handle: Value; readonly shape: readonly number[]; readonly dtype: number } | null =
    null;

  constructor(backend: Backend, byteLength: number) {
    super(backend, byteLength);
  }
}
