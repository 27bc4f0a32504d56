import type { DType, TensorView } from '@frugal/tensor-core';
import type { Operand, Scalar } from '../abi/types.js';
import { asNumbers, type Device, operandOf, partOf } from '../device.js';
import type { Family } from './family.js';

const ONE: Scalar = { number: 1, type: 'i64' };

/** What values of equal indices are added in. */
const sumType: Readonly<Record<DType, 'f32' | 'i32'>> = {
  f32: 'f32',
  bf16: 'f32',
  f16: 'f32',
  i32: 'i32',
  i8: 'i32',
  u8: 'i32',
  bool: 'i32',
};

/** The lowest byte of each i32: whole numbers wrap. */
function lowBytes(operand: Operand): Operand {
  const { strides, offset, storage } = operand;
  return {
    ...operand,
    type: 'u8',
    strides: strides.map((n) => n * 4),
    offset: offset * 4,
    storage: storage * 4,
  };
}

/** Zeros of the shape of `output`, to which `add` adds in a wide type, rounded once. */
function accumulate(
  device: Device,
  values: TensorView,
  output: TensorView,
  add: (zeros: Operand, values: Operand, sums: Operand) => void,
): void {
  const type = sumType[values.dtype];
  const [zeros, sums] = [device.scratch(output.shape, type), device.scratch(output.shape, type)];
  device.fill(zeros, 0);
  const isEmpty = values.shape.includes(0);
  if (!isEmpty) add(zeros, device.cast(asNumbers(operandOf(values)), type), sums);
  const result = isEmpty ? zeros : sums;
  const out = operandOf(output);
  if (type === 'i32' && output.dtype !== 'i32') device.copy({ ...out, type: 'u8' }, lowBytes(result));
  else device.copy(out, result);
}

/** The last axis in order: the first elements of it, and their positions. */
function ordered(
  device: Device,
  x: TensorView,
  [values, positions]: readonly TensorView[],
  descending: boolean,
): void {
  const input = asNumbers(operandOf(x));
  const [sorted, places] = [device.scratch(x.shape, input.type), device.scratch(x.shape, 'i64')];
  // Stable: among equals the smaller position comes first, which CANN's own top-k does not promise.
  device.run('Sort', input, true, x.shape.length - 1, descending, sorted, places);
  const starts = x.shape.map(() => 0);
  device.copy(asNumbers(operandOf(values)), partOf(sorted, starts, values.shape));
  device.copy(operandOf(positions), partOf(places, starts, positions.shape));
}

export const indexingKernels: Family<
  'gatherRows' | 'scatterAddRows' | 'takeAlongAxis' | 'scatterAddAlongAxis' | 'topK' | 'sort'
> = (device) => ({
  gatherRows: ([table, indices], [output]) =>
    device.run('GatherV2', operandOf(table), 0, operandOf(indices), operandOf(output)),

  scatterAddRows: ([indices, values], [output]) =>
    accumulate(device, values, output, (zeros, wide, sums) =>
      device.run('IndexAdd', zeros, 0, operandOf(indices), wide, ONE, sums),
    ),

  takeAlongAxis: ([x, indices], [output], { axis }) =>
    device.run('Gather', operandOf(x), axis, operandOf(indices), operandOf(output)),

  scatterAddAlongAxis: ([indices, values], [output], { axis }) =>
    accumulate(device, values, output, (zeros, wide, sums) =>
      device.run('ScatterAdd', zeros, axis, operandOf(indices), wide, sums),
    ),

  topK: ([x], outputs) => ordered(device, x, outputs, true),
  sort: ([x], outputs, { descending }) => ordered(device, x, outputs, descending),
});
