import { type DType, isContiguous, type TensorView } from '@frugal/tensor-core';
import { attribute, type Value } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

interface Factor {
  readonly value: Value;
  /** Its last two axes are swapped. */
  readonly swapped: boolean;
}

/** A matrix as it lies in memory: weights are used as `weight.transpose()`. */
function readFactor(device: Device, view: TensorView): Factor {
  const rank = view.shape.length;
  const swap = (list: readonly number[]) => [...list.slice(0, rank - 2), list[rank - 1], list[rank - 2]];
  const flipped = { ...view, shape: swap(view.shape), strides: swap(view.strides) };
  if (isContiguous(view.shape, view.strides) || !isContiguous(flipped.shape, flipped.strides))
    return { value: read(device, view), swapped: false };
  return { value: read(device, flipped), swapped: true };
}

const flags = [false, true].map((a) =>
  [false, true].map((b) => ({
    matrix: [attribute.bool('transpose_a', a), attribute.bool('transpose_b', b)],
    batch: [attribute.bool('adj_x', a), attribute.bool('adj_y', b)],
  })),
);

/** a [..., M, K] × b [..., K, N], batch axes broadcast; `swapped` factors lie as [..., K, M] and [..., N, K]. */
export function multiply(device: Device, a: Factor, b: Factor): Value {
  const { matrix, batch } = flags[Number(a.swapped)][Number(b.swapped)];
  const [rankA, rankB] = [a.value.shape.length, b.value.shape.length];
  if (rankA === 2 && rankB === 2) return device.run('MatMul', [a.value, b.value], matrix);
  if (rankB > 2 || a.swapped) return device.run('BatchMatMulV2', [a.value, b.value], batch);
  // Rows of all batches times one matrix.
  const lead = a.value.shape.slice(0, -1);
  const rows = lead.reduce((product, size) => product * size, 1);
  const flat = device.reshape(a.value, [rows, a.value.shape[rankA - 1]]);
  const product = device.run('MatMul', [flat, b.value], matrix);
  return device.reshape(product, [...lead, product.shape[1]]);
}

/** Operands of 16 bits are multiplied as they are where the result has their dtype: sums are f32 all the same. */
function inType(device: Device, factor: Factor, from: DType, to: DType): Factor {
  return from === to ? factor : { ...factor, value: device.cast(factor.value, 'f32') };
}

export const matmulKernels: Family<'matmul'> = (device) => ({
  matmul: ([a, b], [output]) => {
    const [left, right] = [a, b].map((view) =>
      inType(device, readFactor(device, view), view.dtype, output.dtype),
    );
    write(device, output, device.cast(multiply(device, left, right), output.dtype));
  },
});
