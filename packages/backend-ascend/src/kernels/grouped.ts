import { isContiguous, type Kernel, type TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf, partOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** Groups that one call takes. */
const MOST_GROUPS = 1024;
/** `splitItem`: one output. */
const ONE_OUTPUT = 3;
/** `groupType`: what the groups divide. */
const ROWS = 0;
const INNER = 2;
/** `groupListType`: where groups end, not how long they are. */
const ENDS = 0;
const NO_ACTIVATION = 0;

/** The best version that is there; they differ in a last attribute. */
function multiply(
  device: Device,
  x: Operand,
  weight: Operand,
  ends: Operand,
  type: number,
  y: Operand,
): void {
  const noQuantization = [null, null, null, null, null, null] as const;
  const attributes = [ONE_OUTPUT, type, ENDS, NO_ACTIVATION] as const;
  const inputs = [[x], [weight], ...noQuantization, ends, null, null, null, ...attributes] as const;
  if (device.has('GroupedMatmulV5')) device.run('GroupedMatmulV5', ...inputs, null, [y], null, null);
  else device.run('GroupedMatmulV4', ...inputs, [y], null, null);
}

/** offsets [E + 1] → where groups end, i64 [E]. */
function endsOf(device: Device, offsets: Operand): Operand {
  const groups = offsets.shape[0] - 1;
  return device.cast(partOf(offsets, [1], [groups]), 'i64');
}

/** Sets the rows outside all groups, which the op takes for rows of the first group or leaves alone, to 0. */
function clearOutside(device: Device, rows: Operand, offsets: Operand): void {
  const [N] = rows.shape;
  const at = (index: number) => partOf(offsets, [index], [1]);
  const row = device.scratch([N], 'i32');
  device.run(
    'Arange',
    { number: 0, type: 'i64' },
    { number: N, type: 'i64' },
    { number: 1, type: 'i64' },
    row,
  );
  const [before, ended, outside] = [0, 1, 2].map(() => device.scratch([N], 'bool'));
  device.run('LtTensor', row, at(0), before);
  device.run('LeTensor', at(offsets.shape[0] - 1), row, ended);
  device.run('LogicalOr', before, ended, outside);
  device.run('InplaceMaskedFillScalar', rows, viewOf(outside, [N, 1], [1, 1]), { number: 0, type: 'f64' });
}

/** A weight [E, K, N] of which the last two axes may be swapped, but not more. */
function plainWeight(device: Device, weight: Operand): Operand {
  const [E, K, N] = weight.shape;
  const [, row, column] = weight.strides;
  const isTransposed = isContiguous([E, N, K], [weight.strides[0], column, row]);
  return isTransposed ? weight : device.contiguous(weight);
}

function product(device: Device): Kernel<'groupedMatmul'> {
  return ([x, weight, offsets], [output], { transposeWeight }) => {
    const [out, bounds] = [operandOf(output), operandOf(offsets)];
    const matrix = operandOf(weight);
    const [E, a, b] = matrix.shape;
    const [s, t, u] = matrix.strides;
    const factor = transposeWeight ? viewOf(matrix, [E, b, a], [s, u, t]) : matrix;
    const rows = device.contiguous(operandOf(x));
    multiply(device, rows, plainWeight(device, factor), endsOf(device, bounds), ROWS, out);
    clearOutside(device, out, bounds);
  };
}

/** xᵀ g of each group. */
function weightGradient(
  device: Device,
  x: TensorView,
  gradient: TensorView,
  offsets: TensorView,
  output: TensorView,
): void {
  const [N, C] = x.shape;
  const [out, bounds] = [operandOf(output), operandOf(offsets)];
  device.fill(out, 0); // empty groups are left alone
  if (N === 0) return;
  const g = device.scratch(gradient.shape, gradient.dtype);
  device.copy(g, operandOf(gradient));
  clearOutside(device, g, bounds);
  const rows = device.contiguous(operandOf(x));
  multiply(device, viewOf(rows, [C, N], [1, C]), g, endsOf(device, bounds), INNER, out);
}

/** Products of experts. */
export const groupedKernels: FusedFamily<'groupedMatmul' | 'groupedMatmulWeightGradient'> = (device) => {
  const isThere = () => device.first('GroupedMatmulV5', 'GroupedMatmulV4') !== null;
  return {
    groupedMatmul: {
      takes: ([x, weight]) => isThere() && weight.shape[0] <= MOST_GROUPS && x.shape[1] > 0,
      run: product(device),
    },
    groupedMatmulWeightGradient: {
      takes: (_, { groups }) => isThere() && groups <= MOST_GROUPS,
      run: ([x, gradient, offsets], [output]) => weightGradient(device, x, gradient, offsets, output),
    },
  };
};
