import type { Kernel } from '../backend.js';
import type { DType } from '../dtype.js';
import type { OpName } from '../ops/specs.js';
import { errorFunction } from './error-function.js';
import { defineKernels } from './kernels.js';
import { readNumbers, writeNumbers } from './values.js';

function elementwise<N extends OpName>(compute: (x: number) => number): Kernel<N> {
  return ([x], [output]) => {
    const values = readNumbers(x);
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = compute(values[i]);
    });
  };
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** How a number becomes an element of `dtype`: truncated and clamped for integers, NaN to 0; non-zero is true. */
function conversionTo(dtype: DType): (x: number) => number {
  switch (dtype) {
    case 'bool':
      return (x) => (x === 0 ? 0 : 1);
    case 'i32':
      return (x) => clampInteger(x, -(2 ** 31), 2 ** 31 - 1);
    case 'i8':
      return (x) => clampInteger(x, -128, 127);
    case 'u8':
      return (x) => clampInteger(x, 0, 255);
    default:
      return (x) => x;
  }
}

function clampInteger(x: number, low: number, high: number): number {
  return Number.isNaN(x) ? 0 : Math.trunc(Math.min(high, Math.max(low, x)));
}

type UnaryOp =
  | ('neg' | 'abs' | 'sign' | 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'sigmoid' | 'erf')
  | ('floor' | 'isFinite' | 'logicalNot' | 'cast');

export const unaryKernels = defineKernels<UnaryOp>({
  neg: elementwise((x) => -x),
  abs: elementwise(Math.abs),
  sign: elementwise(Math.sign),
  exp: elementwise(Math.exp),
  log: elementwise(Math.log),
  sqrt: elementwise(Math.sqrt),
  rsqrt: elementwise((x) => 1 / Math.sqrt(x)),
  sin: elementwise(Math.sin),
  cos: elementwise(Math.cos),
  tanh: elementwise(Math.tanh),
  sigmoid: elementwise(sigmoid),
  erf: elementwise(errorFunction),
  floor: elementwise(Math.floor),
  isFinite: elementwise((x) => (Number.isFinite(x) ? 1 : 0)),
  logicalNot: elementwise((x) => (x === 0 ? 1 : 0)),

  cast: ([x], [output], { dtype }) => {
    const values = readNumbers(x);
    const convert = conversionTo(dtype);
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = convert(values[i]);
    });
  },
});
