import { defineKernels } from './kernels.js';
import { multiplyTransposed } from './matmul.js';
import { quantizeRows } from './packed.js';
import { rawInPlace, readFloats, readRaw, writeFloats } from './values.js';

export const linearKernels = defineKernels<'linear' | 'int8Linear' | 'quantizeInt8' | 'int8Matmul'>({
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
    const [shape, strides] = [input.shape, input.strides].map((list) =>
      axis === 'rows' ? list : [list[1], list[0]],
    );
    const quantized = quantizeRows(readFloats({ ...input, shape, strides }), shape[0], shape[1]);
    writeFloats(scales, (out) => out.set(quantized.scales));
    rawInPlace(codes).set(quantized.codes);
  },

  int8Matmul: ([a, aScales, b, bScales], [output]) => {
    const [[M, K], [N]] = [a.shape, b.shape];
    const [left, right] = [a, b].map((codes) => ({ values: Float32Array.from(readRaw(codes)), start: 0 }));
    const sums = new Float64Array(M * N);
    multiplyTransposed(left, right, { values: sums, start: 0 }, M, N, K);
    const [rowScales, columnScales] = [readFloats(aScales), readFloats(bScales)];
    writeFloats(output, (out) => {
      for (let i = 0; i < out.length; i++)
        out[i] = sums[i] * Math.fround(rowScales[Math.floor(i / N)] * columnScales[i % N]);
    });
  },
});
