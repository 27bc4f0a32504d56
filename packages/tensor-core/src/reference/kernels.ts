import type { Kernel } from '../backend.js';
import type { OpName } from '../ops/specs.js';

export type FamilyKernels<N extends OpName> = { readonly [K in N]: Kernel<K> };

/** Types a family's table so that each kernel is checked against the attributes of its own op. */
export function defineKernels<N extends OpName>(kernels: FamilyKernels<N>): FamilyKernels<N> {
  return kernels;
}
