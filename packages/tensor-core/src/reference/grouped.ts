import { defineKernels } from './kernels.js';
import { readFloats, readIndices, writeFloats } from './values.js';

/** Element (r, c) of a matrix at `start`, as a function of strides: for weights that are read in both orders. */
interface Layout {
  readonly start: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** out [outer] = x [inner] times a matrix [inner, outer]. */
function multiplyRow(
  x: ArrayLike<number>,
  xStart: number,
  inner: number,
  weight: Float32Array,
  { start, rowStride, columnStride }: Layout,
  out: Float64Array,
): void {
  out.fill(0);
  for (let c = 0; c < inner; c++) {
    const value = x[xStart + c];
    for (let f = 0; f < out.length; f++) out[f] += value * weight[start + c * rowStride + f * columnStride];
  }
}

export const groupedKernels = defineKernels<
  'groupedMatmul' | 'groupedMatmulWeightGradient' | 'groupedLowRank'
>({
  // Rows outside all groups give 0.
  groupedMatmul: ([input, weights, offsets], [output], { transposeWeight }) => {
    const [x, weight, starts] = [readFloats(input), readFloats(weights), readIndices(offsets)];
    const [E, rows, columns] = weights.shape;
    const [C, F] = transposeWeight ? [columns, rows] : [rows, columns];
    const sums = new Float64Array(F);
    writeFloats(output, (out) => {
      out.fill(0);
      for (let e = 0; e < E; e++) {
        const strides = transposeWeight
          ? { rowStride: 1, columnStride: C }
          : { rowStride: F, columnStride: 1 };
        for (let n = starts[e]; n < starts[e + 1]; n++) {
          multiplyRow(x, n * C, C, weight, { start: e * C * F, ...strides }, sums);
          out.set(sums, n * F);
        }
      }
    });
  },

  groupedMatmulWeightGradient: ([input, gradient, offsets], [output], { groups }) => {
    const [x, g, starts] = [readFloats(input), readFloats(gradient), readIndices(offsets)];
    const [C, F] = [input.shape[1], gradient.shape[1]];
    const sums = new Float64Array(groups * C * F);
    for (let e = 0; e < groups; e++) {
      for (let n = starts[e]; n < starts[e + 1]; n++) {
        for (let c = 0; c < C; c++) {
          for (let f = 0; f < F; f++) sums[(e * C + c) * F + f] += x[n * C + c] * g[n * F + f];
        }
      }
    }
    writeFloats(output, (out) => out.set(sums));
  },

  groupedLowRank: ([input, down, up, adapters, base], [output], { scale }) => {
    const [x, a, b] = [readFloats(input), readFloats(down), readFloats(up)];
    const adapter = readIndices(adapters);
    const [A, R, C] = down.shape;
    const F = up.shape[2];
    const narrow = new Float64Array(R);
    const wide = new Float64Array(F);
    writeFloats(output, (out) => {
      if (base) out.set(readFloats(base));
      else out.fill(0);
      for (let n = 0; n < adapter.length; n++) {
        if (adapter[n] < 0 || adapter[n] >= A) continue;
        multiplyRow(x, n * C, C, a, { start: adapter[n] * R * C, rowStride: 1, columnStride: C }, narrow);
        multiplyRow(narrow, 0, R, b, { start: adapter[n] * R * F, rowStride: F, columnStride: 1 }, wide);
        for (let f = 0; f < F; f++) out[n * F + f] += scale * wide[f];
      }
    });
  },
});
