import { sizeOf } from '@frugal/tensor-core';
import { asNumbers, operandOf } from '../device.js';
import type { Family } from './family.js';

export const reduceKernels: Family<'sum' | 'max' | 'argMax' | 'cumulativeSum'> = (device) => ({
  sum: ([x], [output], { axes, keepDims }) => {
    const [input, out] = [asNumbers(operandOf(x)), operandOf(output)];
    if (sizeOf(x.shape) === 0) return device.fill(out, 0);
    // To CANN, no axes are all axes.
    if (axes.length === 0) return device.copy(out, input);
    device.run('ReduceSum', input, axes, keepDims, output.dtype, out);
  },

  // NaN is larger than every number, as in PyTorch, whose meaning CANN's op has.
  max: ([x], [output], { axes, keepDims }) => {
    const [input, out] = [x, output].map((view) => asNumbers(operandOf(view)));
    if (axes.length === 0) return device.copy(out, input);
    device.run('Amax', input, axes, keepDims, out);
  },

  argMax: ([x], [output], { axis }) =>
    device.run('ArgMax', asNumbers(operandOf(x)), axis, false, operandOf(output)),

  cumulativeSum: ([x], [output], { axis }) => {
    const [input, out] = [operandOf(x), operandOf(output)];
    if (output.dtype === 'f32' || output.dtype === 'i32')
      return device.run('Cumsum', input, axis, output.dtype, out);
    // 16 bits: sums are made in f32 and rounded once.
    const sums = device.scratch(output.shape, 'f32');
    device.run('Cumsum', device.cast(input, 'f32'), axis, 'f32', sums);
    device.run('Cast', sums, output.dtype, out);
  },
});
