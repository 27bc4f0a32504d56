import type { Kernel } from '../backend.js';
import { indexingKernels } from './indexing.js';
import { defineKernels } from './kernels.js';
import { readFloats, rowsAndColumns, writeFloats } from './values.js';

/** log Σ exp(scale · x) of one row. */
export function logSumExp(values: Float32Array, start: number, length: number, scale = 1): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + length; i++) top = Math.max(top, values[i] * scale);
  if (!Number.isFinite(top)) return top;
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += Math.exp(values[i] * scale - top);
  return top + Math.log(sum);
}

const softmax: Kernel<'softmax'> = ([x], [output]) => {
  const values = readFloats(x);
  const { rows, columns } = rowsAndColumns(x.shape);
  writeFloats(output, (out) => {
    for (let start = 0; start < rows * columns; start += columns) {
      const total = logSumExp(values, start, columns);
      for (let i = start; i < start + columns; i++) out[i] = Math.exp(values[i] - total);
    }
  });
};

export const softmaxKernels = defineKernels<'softmax' | 'softmaxBackward' | 'logSoftmax' | 'softmaxTopK'>({
  softmax,

  // Rounded to f32 before they are compared.
  softmaxTopK: ([logits], [probabilities, ...chosen], { k }) => {
    softmax([logits], [probabilities], {});
    indexingKernels.topK([probabilities], chosen, { k });
  },

  softmaxBackward: ([gradient, y], [output]) => {
    const g = readFloats(gradient);
    const p = readFloats(y);
    const { rows, columns } = rowsAndColumns(y.shape);
    writeFloats(output, (out) => {
      for (let start = 0; start < rows * columns; start += columns) {
        let dot = 0;
        for (let i = start; i < start + columns; i++) dot += g[i] * p[i];
        for (let i = start; i < start + columns; i++) out[i] = p[i] * (g[i] - dot);
      }
    });
  },

  logSoftmax: ([x], [output]) => {
    const values = readFloats(x);
    const { rows, columns } = rowsAndColumns(x.shape);
    writeFloats(output, (out) => {
      for (let start = 0; start < rows * columns; start += columns) {
        const total = logSumExp(values, start, columns);
        for (let i = start; i < start + columns; i++) out[i] = values[i] - total;
      }
    });
  },
});
