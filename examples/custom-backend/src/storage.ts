import { type Backend, Storage } from '@frugal/tensor-core';
import type { Heap } from './heap.js';

/** Memory of one tensor: an address in the module's memory. */
export class WasmStorage extends Storage {
  constructor(
    backend: Backend,
    byteLength: number,
    readonly heap: Heap,
    readonly address: number,
  ) {
    super(backend, byteLength);
  }
}
