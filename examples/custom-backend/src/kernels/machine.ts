import type { Kernel, OpName } from '@frugal/tensor-core';
import type { Heap } from '../heap.js';
import type { Program } from '../program.js';

/** What kernels work with. */
export interface Machine {
  readonly heap: Heap;
  readonly program: Program;
}

/** The kernels of one file, each checked against the attributes of its own op. */
export type Family<N extends OpName> = (machine: Machine) => { readonly [K in N]: Kernel<K> };
