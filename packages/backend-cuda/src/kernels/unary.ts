import type { DType, Kernel, OpName } from '@frugal/tensor-core';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

type UnaryOp =
  | ('neg' | 'abs' | 'sign' | 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'sigmoid' | 'erf')
  | ('floor' | 'isFinite' | 'logicalNot' | 'cast');

/** Values of 16 bits are computed in f32 and rounded once. */
function elementwise<N extends OpName>(device: Device, name: string): Kernel<N> {
  return ([x], [output]) => {
    const isHalf = x.dtype === 'bf16' || x.dtype === 'f16';
    const value = read(device, x);
    const result = device.run(name, [isHalf ? device.cast(value, 'f32') : value]);
    write(device, output, device.cast(result, output.dtype));
  };
}

const ranges = { i32: [-(2 ** 31), 2 ** 31 - 1], i8: [-128, 127], u8: [0, 255] } as const;

/** Numbers as elements of `dtype`: truncated and clamped for integers, NaN to 0; non-zero is true. */
export function convert(device: Device, value: Value, from: DType, dtype: DType): Value {
  if (from === dtype) return value;
  if (dtype === 'bool') return device.run('NotEqual', [value, device.scalar(0, from)]);
  if (dtype === 'f32' || dtype === 'bf16' || dtype === 'f16' || from === 'bool')
    return device.cast(value, dtype);
  // f64 holds every i32, so that clamping is exact.
  const wide = device.cast(value, 'f64');
  const number = device.run('SelectV2', [
    device.run('Equal', [wide, wide]),
    wide,
    device.cast(device.scalar(0, 'i32'), 'f64'),
  ]);
  const [low, high] = ranges[dtype].map((limit) =>
    device.constant(`f64 limit ${limit}`, () => device.cast(device.scalar(limit, 'i32'), 'f64')),
  );
  const clamped = device.run('Minimum', [device.run('Maximum', [number, low]), high]);
  return device.cast(device.cast(clamped, 'i32'), dtype);
}

export const unaryKernels: Family<UnaryOp> = (device) => ({
  neg: elementwise(device, 'Neg'),
  abs: elementwise(device, 'Abs'),
  sign: elementwise(device, 'Sign'),
  exp: elementwise(device, 'Exp'),
  log: elementwise(device, 'Log'),
  sqrt: elementwise(device, 'Sqrt'),
  rsqrt: elementwise(device, 'Rsqrt'),
  sin: elementwise(device, 'Sin'),
  cos: elementwise(device, 'Cos'),
  tanh: elementwise(device, 'Tanh'),
  sigmoid: elementwise(device, 'Sigmoid'),
  erf: elementwise(device, 'Erf'),
  floor: elementwise(device, 'Floor'),
  isFinite: elementwise(device, 'IsFinite'),
  logicalNot: elementwise(device, 'LogicalNot'),
  cast: ([x], [output], { dtype }) => write(device, output, convert(device, read(device, x), x.dtype, dtype)),
});
