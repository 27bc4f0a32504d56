import type { TensorView } from '../backend.js';
import type { LinearAttributes } from '../ops/specs.js';
import { activations } from './activation.js';
import { defineKernels } from './kernels.js';
import { multiplyTransposed } from './matmul.js';
import { quantizeRows } from './packed.js';
import { rawInPlace, readFloats, readRaw, writeFloats } from './values.js';

interface Parts {
  readonly x: TensorView;
  readonly weight: TensorView;
  readonly bias: Float32Array | null;
  readonly residual: Float32Array | null;
}

function partsOf(inputs: readonly TensorView[], { copy, bias, residual }: LinearAttributes): Parts {
  const rest = inputs.slice(2);
  const weight = copy ? (rest.shift() as TensorView) : inputs[1];
  const [first, second] = rest.map(readFloats);
  return {
    x: inputs[0],
    weight,
    bias: bias ? first : null,
    residual: residual ? (bias ? second : first) : null,
  };
}

/** scale · activation(sum + bias) + residual */
function finish(
  out: Float32Array,
  sums: (i: number) => number,
  { weight, bias, residual }: Parts,
  { activation, scale = 1 }: LinearAttributes,
): void {
  const [N] = weight.shape;
  for (let i = 0; i < out.length; i++) {
    const before = sums(i) + (bias ? bias[i % N] : 0);
    out[i] = scale * (activation ? activations[activation].value(before) : before) + (residual?.[i] ?? 0);
  }
}

export const linearKernels = defineKernels<'linear' | 'int8Linear' | 'quantizeInt8' | 'int8Matmul'>({
  linear: (inputs, [output], attributes) => {
    const parts = partsOf(inputs, attributes);
    const [N, K] = parts.weight.shape;
    writeFloats(output, (out) => {
      const sums = new Float64Array(out.length);
      const [left, right] = [parts.x, parts.weight].map((view) => ({ values: readFloats(view), start: 0 }));
      multiplyTransposed(left, right, { values: sums, start: 0 }, out.length / Math.max(1, N), N, K);
      finish(out, (i) => sums[i], parts, attributes);
    });
  },

  int8Linear: (inputs, [output], attributes) => {
    const parts = partsOf(inputs, attributes);
    const [N, K] = parts.weight.shape;
    writeFloats(output, (out) => {
      const M = out.length / Math.max(1, N);
      const [left, right] = [
        quantizeRows(readFloats(parts.x), M, K),
        quantizeRows(readFloats(parts.weight), N, K),
      ];
      const sums = new Float64Array(out.length);
      const [a, b] = [left, right].map(({ codes }) => ({ values: codes, start: 0 }));
      multiplyTransposed(a, b, { values: sums, start: 0 }, M, N, K);
      const sum = (i: number) => sums[i] * left.scales[Math.floor(i / N)] * right.scales[i % N];
      finish(out, sum, parts, attributes);
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
