import type { Kernel, OpName, OpSpecs, TensorInfo } from '@frugal/tensor-core';
import type { Device } from '../device.js';

/** Kernels of one family of ops, named as in `@frugal/tensor-core`. Outputs have elements. */
export type Family<N extends OpName> = (device: Device) => { readonly [K in N]: Kernel<K> };

/** An op that core can compose: a kernel for some of its cases. */
export interface Fused<N extends OpName> {
  /** Whether this CANN, on this chip, has what the case needs. Inputs have storages where the op is about to run. */
  takes(inputs: readonly TensorInfo[], attributes: OpSpecs[N]): boolean;
  readonly run: Kernel<N>;
}

export type FusedFamily<N extends OpName> = (device: Device) => { readonly [K in N]: Fused<K> };

export function isHalf({ dtype }: TensorInfo): boolean {
  return dtype === 'bf16' || dtype === 'f16';
}
