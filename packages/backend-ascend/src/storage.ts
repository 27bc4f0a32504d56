import { type Backend, Storage } from '@frugal/tensor-core';
import type { Block } from './allocator.js';

/** Memory of the device, whole blocks: an address that the allocator gave is aligned, and nothing else lies behind it. */
export class AscendStorage extends Storage {
  constructor(
    backend: Backend,
    byteLength: number,
    readonly block: Block,
    /** What was uploaded, of small tensors: ops that want lengths on the host need not wait for them. */
    readonly bytes: Uint8Array | null = null,
  ) {
    super(backend, byteLength);
  }
}
