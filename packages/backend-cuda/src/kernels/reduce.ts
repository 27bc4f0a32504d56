import type { TensorView } from '@frugal/tensor-core';
import { attribute, type TfType, type Value } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';
import { orderKeys } from './order.js';

/** What sums are made in. */
const sumType = {
  f32: 'f32',
  bf16: 'f32',
  f16: 'f32',
  i32: 'i32',
  i8: 'i32',
  u8: 'i32',
  bool: 'i32',
} as const satisfies Record<TensorView['dtype'], TfType>;

const keep = [attribute.bool('keep_dims', true)];

export function reduce(device: Device, op: 'Sum' | 'Max' | 'Any', x: Value, axes: readonly number[]): Value {
  return device.run(op, [x, device.vector(axes)]);
}

/** The same with reduced axes of size 1. */
export function reduceKept(device: Device, op: 'Sum' | 'Max', x: Value, axes: readonly number[]): Value {
  return device.run(op, [x, device.vector(axes)], keep);
}

export const reduceKernels: Family<'sum' | 'max' | 'argMax' | 'cumulativeSum' | 'sumOfSquares'> = (
  device,
) => ({
  sum: ([x], [output], { axes }) => {
    const sums = reduce(device, 'Sum', device.cast(read(device, x), sumType[x.dtype]), axes);
    write(device, output, device.cast(device.reshape(sums, output.shape), output.dtype));
  },

  // NaN is larger than every number.
  max: ([x], [output], { axes }) => {
    const value = read(device, x);
    const isFloat = x.dtype === 'f32' || x.dtype === 'bf16' || x.dtype === 'f16';
    const wide = isFloat ? device.cast(value, 'f32') : device.cast(value, 'i32');
    let largest = reduce(device, 'Max', wide, axes);
    if (isFloat) {
      const hasNaN = reduce(device, 'Any', device.run('IsNan', [wide]), axes);
      largest = device.run('SelectV2', [hasNaN, device.scalar(Number.NaN, 'f32'), largest]);
    }
    write(device, output, device.cast(device.reshape(largest, output.shape), output.dtype));
  },

  argMax: ([x], [output], { axis }) => {
    const first = device.run(
      'ArgMax',
      [orderKeys(device, x), device.scalar(axis, 'i32')],
      [attribute.type('output_type', 'i32')],
    );
    write(device, output, first);
  },

  cumulativeSum: ([x], [output], { axis }) => {
    const wide = device.cast(read(device, x), sumType[x.dtype]);
    write(
      device,
      output,
      device.cast(device.run('Cumsum', [wide, device.scalar(axis, 'i32')]), output.dtype),
    );
  },

  sumOfSquares: (inputs, [output]) => {
    const sums = inputs.map((input) => {
      const wide = device.cast(read(device, input), 'f32');
      return reduce(
        device,
        'Sum',
        device.run('Square', [wide]),
        wide.shape.map((_, axis) => axis),
      );
    });
    write(
      device,
      output,
      sums.reduce((total, sum) => device.run('AddV2', [total, sum])),
    );
  },
});
