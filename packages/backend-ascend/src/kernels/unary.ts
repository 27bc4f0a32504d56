import type { DType, Kernel, OpName } from '@frugal/tensor-core';
import type { OperationName } from '../abi/operations.js';
import type { AclType, Operand } from '../abi/types.js';
import { asNumbers, type Device, operandOf, scalarFor } from '../device.js';
import type { Family } from './family.js';

type UnaryOp =
  | ('neg' | 'abs' | 'sign' | 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'sigmoid' | 'erf')
  | ('floor' | 'isFinite' | 'logicalNot' | 'cast');

/** Ops that take a tensor and give one. */
type Mapping = Extract<
  OperationName,
  | ('Neg' | 'Abs' | 'Sign' | 'Exp' | 'Log' | 'Sqrt' | 'Rsqrt' | 'Sin' | 'Cos' | 'Tanh' | 'Sigmoid' | 'Erf')
  | ('Floor' | 'IsFinite' | 'LogicalNot')
>;

function elementwise<N extends OpName>(device: Device, name: Mapping): Kernel<N> {
  return ([x], [output]) => device.run(name, operandOf(x), operandOf(output));
}

const ranges = { i32: [-(2 ** 31), 2 ** 31 - 1], i8: [-128, 127], u8: [0, 255] } as const;
type Whole = keyof typeof ranges;

/** The largest f32 below 2^31: what is above is put right after the conversion. */
const LARGEST_IN_I32 = 2 ** 31 - 128;
const LARGEST_F32 = (2 - 2 ** -23) * 2 ** 127;

/** Devices do not agree on conversions out of range: numbers are clamped before, NaN becomes 0. */
function floatToWhole(device: Device, x: Operand, dtype: Whole, out: Operand): void {
  const wide = device.cast(x, 'f32');
  const number = device.scratch(x.shape, 'f32');
  device.run('NanToNum', wide, 0, LARGEST_F32, -LARGEST_F32, number);
  const [low, high] = ranges[dtype];
  const clamped = device.scratch(x.shape, 'f32');
  const limits = [low, Math.min(high, LARGEST_IN_I32)].map((limit) => scalarFor('f32', limit));
  device.run('Clamp', number, limits[0], limits[1], clamped);
  if (dtype !== 'i32') {
    device.run('Cast', clamped, dtype, out);
    return;
  }
  const [whole, isAbove, largest] = [
    device.scratch(x.shape, 'i32'),
    device.scratch(x.shape, 'bool'),
    device.scratch([], 'i32'),
  ];
  device.run('Cast', clamped, 'i32', whole);
  device.run('GeScalar', number, scalarFor('f32', 2 ** 31), isAbove);
  device.fill(largest, high);
  device.run('SWhere', isAbove, largest, whole, out);
}

function wholeToWhole(device: Device, x: Operand, dtype: Whole, out: Operand): void {
  if (dtype === 'i32') {
    device.run('Cast', x, 'i32', out);
    return;
  }
  const wide = device.cast(x, 'i32');
  const clamped = device.scratch(x.shape, 'i32');
  const [low, high] = ranges[dtype].map((limit) => scalarFor('i32', limit));
  device.run('Clamp', wide, low, high, clamped);
  device.run('Cast', clamped, dtype, out);
}

function isFloatType(type: AclType): boolean {
  return type === 'f32' || type === 'bf16' || type === 'f16';
}

/** Numbers as elements of `dtype`: truncated and clamped for integers, NaN to 0; non-zero is true. */
function convert(device: Device, x: Operand, dtype: DType, out: Operand): void {
  if (x.type === dtype) device.copy(out, x);
  else if (dtype === 'bool') device.run('NeScalar', x, scalarFor(x.type, 0), out);
  else if (dtype === 'f32' || dtype === 'bf16' || dtype === 'f16')
    device.run('Cast', asNumbers(x), dtype, out);
  else if (isFloatType(x.type)) floatToWhole(device, x, dtype, out);
  else if (x.type === 'bool' && dtype === 'u8') device.copy(out, asNumbers(x));
  else wholeToWhole(device, asNumbers(x), dtype, out);
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
  cast: ([x], [output], { dtype }) => convert(device, operandOf(x), dtype, operandOf(output)),
});
