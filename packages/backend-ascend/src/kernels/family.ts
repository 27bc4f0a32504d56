import type { Kernel, OpName } from '@frugal/tensor-core';
import type { Device } from '../device.js';

/** Kernels of one family of ops, named as in `@frugal/tensor-core`. Outputs have elements. */
export type Family<N extends OpName> = (device: Device) => { readonly [K in N]: Kernel<K> };
