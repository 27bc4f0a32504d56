import type { TensorView } from '@frugal/tensor-core';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { read } from '../views.js';

/** Below infinity and above every number of the types that tensors have. */
const BEYOND_NUMBERS = 2 ** 200;

/**
 * f64 numbers in the order of max, argMax, sort and topK, in which NaN is larger than everything: NaN becomes infinity
 * and infinity a large number. f64 holds all elements of all dtypes.
 */
export function orderKeys(device: Device, x: TensorView): Value {
  const wide = device.cast(read(device, x), 'f64');
  if (x.dtype !== 'f32' && x.dtype !== 'bf16' && x.dtype !== 'f16') return wide;
  const [infinity, large] = [Number.POSITIVE_INFINITY, BEYOND_NUMBERS].map((number) =>
    device.constant(`f64 key ${number}`, () =>
      device.bitcast(device.create([8], 'u8', new Uint8Array(Float64Array.of(number).buffer)), 'f64'),
    ),
  );
  const isNumber = device.run('Equal', [wide, wide]);
  return device.run('SelectV2', [isNumber, device.run('Minimum', [wide, large]), infinity]);
}

/** The first `count` of the last axis in descending or ascending order: their positions, the smaller first among equals. */
export function orderedPositions(device: Device, x: TensorView, count: number, descending: boolean): Value {
  const keys = orderKeys(device, x);
  // Adding 0 makes -0 and 0 equal.
  const signed = descending ? keys : device.run('Neg', [keys]);
  const zero = device.constant('f64 zero', () => device.cast(device.scalar(0, 'i32'), 'f64'));
  const plain = device.run('AddV2', [signed, zero]);
  return device.runAll('TopKV2', [plain, device.scalar(count, 'i32')], 2)[1];
}

/** `values [..., n]` at `positions [..., k]` of their last axis. */
export function takeLast(device: Device, values: Value, positions: Value): Value {
  const rank = values.shape.length;
  const [columns, count] = [values.shape[rank - 1], positions.shape[rank - 1]];
  const rows = positions.shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const table = device.reshape(values, [rows, columns]);
  const where = device.reshape(positions, [rows, count]);
  const axis = device.scalar(1, 'i32');
  const taken = device.run('GatherV2', [table, where, axis], batchDimensions);
  return device.reshape(taken, positions.shape);
}

const batchDimensions = [{ name: 'batch_dims', type: 1, value: 1 }];
