import type { DType, FloatDType } from '../../dtype.js';
import type { InputOptions } from '../case.js';
import { list } from '../case.js';

export const floatDTypes: readonly FloatDType[] = ['f32', 'bf16', 'f16'];
export const halfDTypes: readonly FloatDType[] = ['bf16', 'f16'];
export const everyDType: readonly DType[] = ['f32', 'bf16', 'f16', 'i8', 'u8', 'i32', 'bool'];

/** Signed zeros, ties, subnormals, extremes, infinities and NaN. */
export const edges = list(
  ...[0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.5, 0.1, -0.7, 7.3, -9.9],
  ...[1e-40, -1e-40, 1.5e-45, 1.2e-38, 6e-8, -6.2e-5, 1e-30, 1e30, -1e30, 3.4e38, -3.4e38],
  ...[
    100,
    -100,
    1000,
    -1000,
    65504,
    65520,
    16777217,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ],
);

/** i32 numbers at the ends of the range. */
export const integerEdges = list(0, 1, -1, 2147483647, -2147483648, 65536, -65537, 16777217, 123456789);

/** Shapes that cross the block sizes of vector code, and degenerate ones. */
export const oddShapes: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [3, 0, 2],
  [7],
  [33],
  [2, 3, 5],
  [4, 257],
  [1, 1030],
];

export function constant(options: InputOptions = {}): InputOptions {
  return { ...options, constant: true };
}
