import type { TensorView } from '../backend.js';
import { type PartArray, packedFormat, roundHalfEven } from '../formats/index.js';
import type { OpSpecs, PackedAttributes } from '../ops/specs.js';
import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { multiplyTransposed } from './matmul.js';
import { readFloats, readIndices, readRaw, writeFloats } from './values.js';

function unpackRows(
  parts: readonly TensorView[],
  { format, rows, columns }: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Float32Array {
  const out = new Float32Array(rowCount * columns);
  const arrays = parts.map((part): PartArray => readRaw(part));
  packedFormat(format).unpack(arrays, { rows, columns, rowStart, rowCount }, out);
  return out;
}

function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c];
  return out;
}

/** x as the product sees it, but for `int8`. */
function activated(
  x: Float32Array,
  count: number,
  columns: number,
  parts: readonly TensorView[],
  { format, activation }: OpSpecs['packedMatmul'],
): Float32Array {
  if (activation !== 'int8-block32') return x;
  const { orderPart } = packedFormat(format);
  return fakeQuantizeBlocks(
    x,
    count,
    columns,
    orderPart === undefined ? null : readIndices(parts[orderPart]),
  );
}

/** Each row as whole numbers -127..127 times a scale, absmax / 127 in f32; a row of zeros has scale 0. */
export function quantizeRows(
  x: Float32Array,
  rows: number,
  columns: number,
): { codes: Float32Array; scales: Float32Array } {
  const codes = new Float32Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let r = 0; r < rows; r++) {
    let largest = 0;
    for (let i = r * columns; i < (r + 1) * columns; i++) largest = Math.max(largest, Math.abs(x[i]));
    const scale = Math.fround(largest / 127);
    scales[r] = scale;
    if (scale === 0) continue;
    for (let i = r * columns; i < (r + 1) * columns; i++) {
      codes[i] = Math.max(-127, Math.min(127, roundHalfEven(Math.fround(x[i] / scale))));
    }
  }
  return { codes, scales };
}

/** The same for every 32 columns, in the format's order of columns; each code times its scale, rounded to f32. */
export function fakeQuantizeBlocks(
  x: Float32Array,
  rows: number,
  columns: number,
  order: ArrayLike<number> | null,
): Float32Array {
  const out = new Float32Array(x.length);
  const place = (c: number) => (order ? order[c] : c);
  for (let r = 0; r < rows; r++) {
    for (let start = 0; start < columns; start += 32) {
      const width = Math.min(32, columns - start);
      const block = Float32Array.from({ length: width }, (_, i) => x[r * columns + place(start + i)]);
      const { codes, scales } = quantizeRows(block, 1, width);
      for (let i = 0; i < width; i++) out[r * columns + place(start + i)] = codes[i] * scales[0];
    }
  }
  return out;
}

/**
 * Rows of x times the matrix. int8 activations on int8-channel weights are a dot product of whole numbers, times
 * fround(xScale · weightScale).
 */
function multiply(
  input: Float32Array,
  count: number,
  parts: readonly TensorView[],
  attributes: OpSpecs['packedMatmul'],
): Float64Array {
  const { format, rows, columns, transpose, activation } = attributes;
  const [inner, outer] = transpose ? [rows, columns] : [columns, rows];
  const whole = activation === 'int8' && format === 'int8-channel' && !transpose;
  const unpacked = whole ? Float32Array.from(readRaw(parts[0])) : unpackRows(parts, attributes, 0, rows);
  const weight = transpose ? transposed(unpacked, rows, columns) : unpacked;
  const quantized = activation === 'int8' ? quantizeRows(input, count, inner) : null;
  const x = quantized?.codes ?? activated(input, count, inner, parts, attributes);
  const products = new Float64Array(count * outer);
  multiplyTransposed(
    { values: x, start: 0 },
    { values: weight, start: 0 },
    { values: products, start: 0 },
    count,
    outer,
    inner,
  );
  if (!quantized) return products;
  const weightScales = whole ? readFloats(parts[1]) : null;
  return products.map((sum, i) => {
    const scale = quantized.scales[Math.floor(i / outer)];
    return sum * (weightScales ? Math.fround(scale * weightScales[i % outer]) : scale);
  });
}

export const packedKernels = defineKernels<
  'unpack' | 'packedMatmul' | 'groupedPackedMatmul' | 'packedGather'
>({
  unpack: (parts, [output], attributes) => {
    writeFloats(output, (out) =>
      out.set(unpackRows(parts, attributes, attributes.rowStart, attributes.rowCount)),
    );
  },

  packedMatmul: ([input, ...parts], [output], attributes) => {
    const count = sizeOf(input.shape.slice(0, -1));
    writeFloats(output, (out) => out.set(multiply(readFloats(input), count, parts, attributes)));
  },

  groupedPackedMatmul: ([input, offsets, ...parts], [output], { groups, ...matrix }) => {
    const [x, bounds] = [readFloats(input), readIndices(offsets)];
    const { rows, columns } = matrix;
    const each = parts.length / groups;
    writeFloats(output, (out) => {
      out.fill(0);
      for (let e = 0; e < groups; e++) {
        const [first, end] = [bounds[e], bounds[e + 1]];
        const own = x.slice(first * columns, end * columns);
        const attributes = { ...matrix, transpose: false };
        out.set(multiply(own, end - first, parts.slice(e * each, (e + 1) * each), attributes), first * rows);
      }
    });
  },

  packedGather: ([indices, ...parts], [output], attributes) => {
    writeFloats(output, (out) => {
      for (const [i, row] of readIndices(indices).entries()) {
        out.set(unpackRows(parts, attributes, row, 1), i * attributes.columns);
      }
    });
  },
});
