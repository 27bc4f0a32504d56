import type { DType, FloatDType } from '../dtype.js';
import type { OpName } from '../ops/specs.js';

/** How far a result may lie from the reference: |a - b| ≤ absolute · scale + relative · |b|. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
  /** What `absolute` is measured in: 1, or the largest magnitude of the output (sums cancel). */
  readonly scale: 'one' | 'largest';
}

/**
 * exact: moves, compares or rounds once by IEEE rules without arithmetic. rounded: one arithmetic step.
 * elementwise: a transcendental function per element. accumulated: sums. linalg: long chains of divisions.
 */
export type ToleranceClass = 'exact' | 'rounded' | 'elementwise' | 'accumulated' | 'linalg';

const f32: Record<ToleranceClass, Tolerance> = {
  exact: { relative: 0, absolute: 0, scale: 'one' },
  // Devices may flush subnormal numbers to zero.
  rounded: { relative: 3e-7, absolute: 1.2e-38, scale: 'one' },
  elementwise: { relative: 5e-6, absolute: 1e-6, scale: 'one' },
  accumulated: { relative: 1e-5, absolute: 5e-6, scale: 'largest' },
  linalg: { relative: 1e-4, absolute: 1e-4, scale: 'largest' },
};

/** One unit in the last place of 8 and 11 bits of mantissa, and smallest steps near zero. */
const halves: Record<'bf16' | 'f16', { readonly unit: number; readonly smallest: number }> = {
  bf16: { unit: 2 ** -7, smallest: 1.2e-38 },
  f16: { unit: 2 ** -10, smallest: 6e-8 },
};

export const classOf: { readonly [N in OpName]?: ToleranceClass } = {
  ...classes('exact', [
    'fill',
    'randomUniform',
    'neg',
    'abs',
    'sign',
    'floor',
    'isFinite',
    'logicalNot',
    'cast',
  ]),
  ...classes('exact', ['maximum', 'minimum', 'equal', 'less', 'lessEqual', 'where', 'max', 'argMax']),
  ...classes('exact', [
    'copy',
    'concat',
    'pad',
    'gatherRows',
    'takeAlongAxis',
    'topK',
    'sort',
    'assign',
    'writeRows',
    'writeQuantizedRows',
    'sample',
  ]),
  ...classes('exact', ['reshape', 'permute', 'slice', 'expand']),
  ...classes('rounded', ['arange', 'add', 'sub', 'mul', 'div', 'sqrt', 'unpack', 'packedGather']),
  ...classes('elementwise', ['exp', 'log', 'rsqrt', 'sin', 'cos', 'tanh', 'sigmoid', 'erf', 'pow']),
  ...classes('elementwise', ['silu', 'gelu', 'swiglu', 'swigluBackward', 'rope', 'adamw', 'adamw8bit']),
  ...classes('linalg', ['cholesky', 'triangularSolve']),
};

function classes(tolerance: ToleranceClass, ops: readonly OpName[]): { [N in OpName]?: ToleranceClass } {
  return Object.fromEntries(ops.map((op) => [op, tolerance]));
}

function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
}

/** `chain` is how many roundings may follow each other: 1 for one kernel, more for a decomposition or a gradient. */
export function toleranceOf(dtype: DType, kind: ToleranceClass, chain = 1): Tolerance {
  if (!isFloat(dtype)) return f32.exact;
  if (kind === 'exact' && chain === 1) return f32.exact;
  const base = kind === 'exact' ? f32.rounded : f32[kind];
  if (dtype === 'f32') return { ...base, relative: base.relative * chain, absolute: base.absolute * chain };
  const { unit, smallest } = halves[dtype];
  const absolute = kind === 'exact' || kind === 'rounded' ? smallest : unit / 2;
  return { relative: unit * chain, absolute: absolute * chain, scale: base.scale };
}
