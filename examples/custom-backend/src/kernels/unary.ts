import type { DType, Kernel, OpName } from '@frugal/tensor-core';
import { sizeOf } from '@frugal/tensor-core';
import type { VectorUnary } from '../program.js';
import { addressOf, fill, numbers } from '../views.js';
import type { Family, Machine } from './machine.js';

function each<N extends OpName>(compute: (x: number) => number): Kernel<N> {
  return ([x], [output]) => {
    const source = numbers(x);
    fill(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = compute(source[i]);
    });
  };
}

/** The module's instruction for f32, a loop for the rest. */
function vector<N extends OpName>(
  { program }: Machine,
  op: VectorUnary,
  compute: (x: number) => number,
): Kernel<N> {
  const slow = each<N>(compute);
  return (inputs, outputs, attributes) => {
    const [x] = inputs;
    if (x.dtype === 'f32') program[op](addressOf(x), addressOf(outputs[0]), sizeOf(x.shape));
    else slow(inputs, outputs, attributes);
  };
}

/** erf(x) within 1.5e-7: Abramowitz & Stegun 7.1.26. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const sum = factors.reduce((total, factor) => total * t + factor, 0);
  return Math.sign(x) * (1 - sum * t * Math.exp(-x * x));
}

const ranges: { readonly [D in DType]?: readonly [number, number] } = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i8: [-128, 127],
  u8: [0, 255],
};

/** Integers are truncated and stay in their range, NaN counts as 0; every number but 0 is true. */
function conversion(dtype: DType): (x: number) => number {
  if (dtype === 'bool') return (x) => Number(x !== 0);
  const range = ranges[dtype];
  if (!range) return (x) => x;
  const [low, high] = range;
  return (x) => (Number.isNaN(x) ? 0 : Math.trunc(Math.min(high, Math.max(low, x))));
}

export const unaryKernels: Family<
  | ('neg' | 'abs' | 'sign' | 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'sigmoid' | 'erf')
  | ('floor' | 'isFinite' | 'logicalNot' | 'cast')
> = (machine) => ({
  neg: vector(machine, 'neg', (x) => -x),
  abs: vector(machine, 'abs', Math.abs),
  sqrt: vector(machine, 'sqrt', Math.sqrt),
  floor: vector(machine, 'floor', Math.floor),
  sign: each(Math.sign),
  exp: each(Math.exp),
  log: each(Math.log),
  rsqrt: each((x) => 1 / Math.sqrt(x)),
  sin: each(Math.sin),
  cos: each(Math.cos),
  tanh: each(Math.tanh),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  erf: each(erf),
  isFinite: each((x) => Number(Number.isFinite(x))),
  logicalNot: each((x) => Number(x === 0)),
  cast: (inputs, outputs, attributes) =>
    each<'cast'>(conversion(attributes.dtype))(inputs, outputs, attributes),
});
