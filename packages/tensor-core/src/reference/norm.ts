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

export const normKernels = defineKernels<'rmsNorm' | 'rmsNormBackward' | 'layerNorm'>({
  rmsNorm: ([input, weight], [output], { epsilon }) => {
    const [x, w] = [readFloats(input), readFloats(weight)];
    const { rows, columns } = rowsAndColumns(input.shape);
    writeFloats(output, (out) => {
      for (let start = 0; start < rows * columns; start += columns) {
        const inverse = inverseDeviation(x, start, columns, epsilon);
        for (let c = 0; c < columns; c++) out[start + c] = x[start + c] * inverse * w[c];
      }
    });
  },

  rmsNormBackward: ([gradient, input, weight], [inputGradient, weightGradient], { epsilon }) => {
    const [g, x, w] = [readFloats(gradient), readFloats(input), readFloats(weight)];
    const { rows, columns } = rowsAndColumns(input.shape);
    const weightSums = new Float64Array(columns);
    writeFloats(inputGradient, (out) => {
      for (let start = 0; start < rows * columns; start += columns) {
        const inverse = inverseDeviation(x, start, columns, epsilon);
        let dot = 0; // Σ g·w·n
        for (let c = 0; c < columns; c++) {
          const normalized = x[start + c] * inverse;
          dot += g[start + c] * w[c] * normalized;
          weightSums[c] += g[start + c] * normalized;
        }
        for (let c = 0; c < columns; c++) {
          out[start + c] = inverse * (g[start + c] * w[c] - (x[start + c] * inverse * dot) / columns);
        }
      }
    });
    writeFloats(weightGradient, (out) => out.set(weightSums));
  },

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
});
