import { type Kernel, sizeOf, type TensorView } from '@frugal/tensor-core';
import type { TfType, Value } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';
import { orderedPositions, takeLast } from './order.js';

/** What values of equal indices are added in. */
const sumType: { readonly [type in TensorView['dtype']]: TfType } = {
  f32: 'f32',
  bf16: 'f32',
  f16: 'f32',
  i32: 'i32',
  i8: 'i32',
  u8: 'i32',
  bool: 'i32',
};

/** `axis` moved to the end, and the way back. */
function toLast(rank: number, axis: number): { readonly there: number[]; readonly back: number[] } {
  const there = [...Array(rank).keys()].filter((other) => other !== axis);
  there.push(axis);
  return { there, back: there.map((_, i) => there.indexOf(i)) };
}

/** [segments, ...] sums of rows with equal ids. */
function segmentSum(device: Device, values: Value, ids: Value, segments: number): Value {
  return device.run('UnsortedSegmentSum', [values, ids, device.scalar(segments, 'i32')]);
}

function ordered(
  device: Device,
  descending: boolean | undefined,
  x: TensorView,
  outputs: readonly TensorView[],
) {
  const count = outputs[0].shape[outputs[0].shape.length - 1];
  const positions = orderedPositions(device, x, count, descending ?? true);
  write(device, outputs[0], takeLast(device, read(device, x), positions));
  write(device, outputs[1], positions);
}

const scatterAddRows =
  (device: Device): Kernel<'scatterAddRows'> =>
  ([indices, values], [output], { rows }) => {
    const wide = device.cast(read(device, values), sumType[values.dtype]);
    const sums = segmentSum(device, wide, read(device, indices), rows);
    write(device, output, device.cast(sums, output.dtype));
  };

const takeAlongAxis =
  (device: Device): Kernel<'takeAlongAxis'> =>
  ([x, indices], [output], { axis }) => {
    if (sizeOf(output.shape) === 0) return write(device, output, device.fill(output.shape, 0, output.dtype));
    const { there, back } = toLast(x.shape.length, axis);
    const [values, positions] = [x, indices].map((view) => device.transpose(read(device, view), there));
    write(device, output, device.transpose(takeLast(device, values, positions), back));
  };

const scatterAddAlongAxis =
  (device: Device): Kernel<'scatterAddAlongAxis'> =>
  ([indices, values], [output], { axis, size }) => {
    const { there, back } = toLast(values.shape.length, axis);
    const [positions, numbers] = [indices, values].map((view) => device.transpose(read(device, view), there));
    const count = values.shape[axis];
    const rows = values.shape.reduce((product, n, i) => (i === axis ? product : product * n), 1);
    // One long row: row r begins at r · size.
    const index = device.run(
      'Range',
      [0, rows, 1].map((number) => device.scalar(number, 'i32')),
    );
    const starts = device.run('Mul', [device.reshape(index, [rows, 1]), device.scalar(size, 'i32')]);
    const ids = device.run('AddV2', [device.reshape(positions, [rows, count]), starts]);
    const wide = device.cast(device.reshape(numbers, [rows, count]), sumType[values.dtype]);
    const sums = segmentSum(device, wide, ids, rows * size);
    const shape = there.map((from) => output.shape[from]);
    const result = device.transpose(device.reshape(sums, shape), back);
    write(device, output, device.cast(result, output.dtype));
  };

export const indexingKernels: Family<
  'gatherRows' | 'scatterAddRows' | 'takeAlongAxis' | 'scatterAddAlongAxis' | 'topK' | 'sort'
> = (device) => ({
  gatherRows: ([table, indices], [output]) => {
    const rows = device.run('GatherV2', [
      read(device, table),
      read(device, indices),
      device.scalar(0, 'i32'),
    ]);
    write(device, output, rows);
  },
  scatterAddRows: scatterAddRows(device),
  takeAlongAxis: takeAlongAxis(device),
  scatterAddAlongAxis: scatterAddAlongAxis(device),
  topK: ([x], outputs) => ordered(device, true, x, outputs),
  sort: ([x], outputs, { descending }) => ordered(device, descending, x, outputs),
});
