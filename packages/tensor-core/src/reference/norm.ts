import type { TensorView } from '../backend.js';
import { defineKernels } from './kernels.js';
import { readFloats, rowsAndColumns, writeFloats } from './values.js';

/** 1 / √(mean((x - center)²) + ε) of one row. */
function inverseDeviation(
  x: Float32Array,
  start: number,
  columns: number,
  epsilon: number,
  center = 0,
): number {
  let sum = 0;
  for (let i = start; i < start + columns; i++) sum += (x[i] - center) * (x[i] - center);
  return 1 / Math.sqrt(sum / columns + epsilon);
}

function meanOfRow(x: Float32Array, start: number, columns: number): number {
  let sum = 0;
  for (let i = start; i < start + columns; i++) sum += x[i];
  return sum / columns;
}

/** out = x / √(mean(x²) + ε) · w, row by row. */
function normalizeRows(x: Float32Array, w: Float32Array, epsilon: number, out: Float32Array): void {
  const columns = w.length;
  for (let start = 0; start < x.length; start += columns) {
    const inverse = inverseDeviation(x, start, columns, epsilon);
    for (let c = 0; c < columns; c++) out[start + c] = x[start + c] * inverse * w[c];
  }
}

/** The gradients of normalizeRows; `direct` is added to dx. */
function normalizeRowsBackward(
  [gradient, input, weight, direct]: readonly TensorView[],
  [inputGradient, weightGradient]: readonly TensorView[],
  epsilon: number,
): void {
  const [g, x, w] = [readFloats(gradient), readFloats(input), readFloats(weight)];
  const added = direct ? readFloats(direct) : null;
  const columns = w.length;
  const weightSums = new Float64Array(columns);
  writeFloats(inputGradient, (out) => {
    for (let start = 0; start < x.length; start += columns) {
      const inverse = inverseDeviation(x, start, columns, epsilon);
      let dot = 0; // Σ g·w·n
      for (let c = 0; c < columns; c++) {
        const normalized = x[start + c] * inverse;
        dot += g[start + c] * w[c] * normalized;
        weightSums[c] += g[start + c] * normalized;
      }
      for (let c = 0; c < columns; c++) {
        const dx = inverse * (g[start + c] * w[c] - (x[start + c] * inverse * dot) / columns);
        out[start + c] = added ? dx + added[start + c] : dx;
      }
    }
  });
  writeFloats(weightGradient, (out) => out.set(weightSums));
}

export const normKernels = defineKernels<
  'rmsNorm' | 'rmsNormBackward' | 'addRmsNorm' | 'addRmsNormBackward' | 'layerNorm' | 'layerNormBackward'
>({
  rmsNorm: ([input, weight], [output], { epsilon }) => {
    const [x, w] = [readFloats(input), readFloats(weight)];
    writeFloats(output, (out) => normalizeRows(x, w, epsilon, out));
  },

  rmsNormBackward: (inputs, outputs, { epsilon }) => normalizeRowsBackward(inputs, outputs, epsilon),

  addRmsNorm: ([left, right, weight], [sum, output], { epsilon }) => {
    const [x, y, w] = [readFloats(left), readFloats(right), readFloats(weight)];
    writeFloats(sum, (out) => {
      for (let i = 0; i < x.length; i++) out[i] = x[i] + y[i];
    });
    const rounded = readFloats(sum);
    writeFloats(output, (out) => normalizeRows(rounded, w, epsilon, out));
  },

  addRmsNormBackward: ([direct, gradient, sum, weight], outputs, { epsilon }) =>
    normalizeRowsBackward([gradient, sum, weight, direct], outputs, epsilon),

  layerNorm: ([input, weight, bias], [output], { epsilon }) => {
    const [x, w, b] = [readFloats(input), readFloats(weight), readFloats(bias)];
    const { rows, columns } = rowsAndColumns(input.shape);
    writeFloats(output, (out) => {
      for (let start = 0; start < rows * columns; start += columns) {
        const mean = meanOfRow(x, start, columns);
        const inverse = inverseDeviation(x, start, columns, epsilon, mean);
        for (let c = 0; c < columns; c++) out[start + c] = (x[start + c] - mean) * inverse * w[c] + b[c];
      }
    });
  },

  layerNormBackward: (
    [gradient, input, weight],
    [inputGradient, weightGradient, biasGradient],
    { epsilon },
  ) => {
    const [g, x, w] = [readFloats(gradient), readFloats(input), readFloats(weight)];
    const columns = w.length;
    const [weightSums, biasSums] = [new Float64Array(columns), new Float64Array(columns)];
    writeFloats(inputGradient, (out) => {
      for (let start = 0; start < x.length; start += columns) {
        const mean = meanOfRow(x, start, columns);
        const inverse = inverseDeviation(x, start, columns, epsilon, mean);
        let [sum, dot] = [0, 0]; // Σ g·w and Σ g·w·n
        for (let c = 0; c < columns; c++) {
          const normalized = (x[start + c] - mean) * inverse;
          sum += g[start + c] * w[c];
          dot += g[start + c] * w[c] * normalized;
          weightSums[c] += g[start + c] * normalized;
          biasSums[c] += g[start + c];
        }
        for (let c = 0; c < columns; c++) {
          const normalized = (x[start + c] - mean) * inverse;
          out[start + c] = inverse * (g[start + c] * w[c] - sum / columns - (normalized * dot) / columns);
        }
      }
    });
    writeFloats(weightGradient, (out) => out.set(weightSums));
    writeFloats(biasGradient, (out) => out.set(biasSums));
  },
});
