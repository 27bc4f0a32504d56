import { roundHalfEven } from '../formats/index.js';
import { defineKernels } from './kernels.js';
import { multiplyTransposed } from './matmul.js';
import { quantizeRows } from './packed.js';
import { rawInPlace, readFloats, writeFloats } from './values.js';

export const linearKernels = defineKernels<'linear' | 'int8Linear' | 'quantizeInt8'>({
  linear: ([x, weight, copy = weight], [output]) => {
    const [N, K] = weight.shape;
    writeFloats(output, (out) => {
      const [left, right] = [readFloats(x), readFloats(copy)].map((values) => ({ values, start: 0 }));
      multiplyTransposed(left, right, { values: out, start: 0 }, out.length / Math.max(1, N), N, K);
    });
  },

  int8Linear: ([x, weight], [output]) => {
    const [N, K] = weight.shape;
    writeFloats(output, (out) => {
      const M = out.length / Math.max(1, N);
      const [left, right] = [quantizeRows(readFloats(x), M, K), quantizeRows(readFloats(weight), N, K)];
      const sums = new Float64Array(out.length);
      const [a, b] = [left, right].map(({ codes }) => ({ values: codes, start: 0 }));
      multiplyTransposed(a, b, { values: sums, start: 0 }, M, N, K);
      for (let i = 0; i < out.length; i++)
        out[i] = sums[i] * left.scales[Math.floor(i / N)] * right.scales[i % N];
    });
  },

  quantizeInt8: ([input], [codes, scales], { axis }) => {
    const [rows, columns] = input.shape;
    const x = readFloats(input);
    const groupOf = axis === 'rows' ? (i: number) => Math.floor(i / columns) : (i: number) => i % columns;
    const scale = new Float32Array(axis === 'rows' ? rows : columns);
    for (let i = 0; i < x.length; i++) scale[groupOf(i)] = Math.max(scale[groupOf(i)], Math.abs(x[i]));
    for (let i = 0; i < scale.length; i++) scale[i] /= 127;
    writeFloats(scales, (out) => out.set(scale));
    const out = rawInPlace(codes);
    for (let i = 0; i < x.length; i++) {
      const divisor = scale[groupOf(i)];
      out[i] = divisor > 0 ? Math.max(-127, Math.min(127, roundHalfEven(Math.fround(x[i] / divisor)))) : 0;
    }
  },
});
