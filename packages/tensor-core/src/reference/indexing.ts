import type { TensorView } from '../backend.js';
import { roundHalfEven } from '../formats/rounding.js';
import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { isGreater } from './reduce.js';
import {
  type RawArray,
  rawInPlace,
  readFloats,
  readIndices,
  readNumbers,
  readRaw,
  rowsAndColumns,
  splitAtAxis,
  writeFloats,
  writeNumbers,
  writeRaw,
} from './values.js';

/** Positions of the last axis, best first; equal values stay in ascending position. */
function orderedRows(
  x: TensorView,
  descending: boolean,
  store: (row: number, order: Int32Array) => void,
): void {
  const values = readNumbers(x);
  const { rows, columns } = rowsAndColumns(x.shape);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const order = Int32Array.from({ length: columns }, (_, i) => i);
    order.sort((i, j) => {
      const [a, b] = [values[start + i], values[start + j]];
      if (isGreater(a, b)) return descending ? -1 : 1;
      if (isGreater(b, a)) return descending ? 1 : -1;
      return i - j;
    });
    store(row, order);
  }
}

/** Writes the first `count` of each ordered row: values and positions. */
function writeOrdered(
  x: TensorView,
  [values, indices]: readonly TensorView[],
  count: number,
  descending: boolean,
): void {
  const { columns } = rowsAndColumns(x.shape);
  const source = readRaw(x);
  const valueOut = rawInPlace(values);
  const indexOut = rawInPlace(indices);
  orderedRows(x, descending, (row, order) => {
    for (let i = 0; i < count; i++) {
      valueOut[row * count + i] = source[row * columns + order[i]];
      indexOut[row * count + i] = order[i];
    }
  });
}

export const indexingKernels = defineKernels<
  'gatherRows' | 'scatterAddRows' | 'takeAlongAxis' | 'scatterAddAlongAxis' | 'topK' | 'sort'
>({
  gatherRows: ([table, indices], [output]) => {
    const rows = readRaw(table);
    const out = rawInPlace(output);
    const width = sizeOf(table.shape.slice(1));
    for (const [i, row] of readIndices(indices).entries()) {
      out.set(rows.subarray(row * width, (row + 1) * width), i * width);
    }
  },

  scatterAddRows: ([indices, values], [output]) => {
    const rows = readIndices(indices);
    const source = readNumbers(values);
    const width = sizeOf(values.shape.slice(1));
    const sums = new Float64Array(sizeOf(output.shape));
    for (let i = 0; i < rows.length; i++) {
      for (let c = 0; c < width; c++) sums[rows[i] * width + c] += source[i * width + c];
    }
    writeNumbers(output, (out) => out.set(sums));
  },

  takeAlongAxis: ([x, indices], [output], { axis }) => {
    const source = readRaw(x);
    const positions = readIndices(indices);
    const out = rawInPlace(output);
    const { outer, length, inner } = splitAtAxis(indices.shape, axis);
    for (let o = 0, at = 0; o < outer; o++) {
      for (let i = 0; i < length; i++) {
        for (let n = 0; n < inner; n++, at++)
          out[at] = source[(o * x.shape[axis] + positions[at]) * inner + n];
      }
    }
  },

  scatterAddAlongAxis: ([indices, values], [output], { axis, size }) => {
    const source = readNumbers(values);
    const positions = readIndices(indices);
    const sums = new Float64Array(sizeOf(output.shape));
    const { outer, length, inner } = splitAtAxis(values.shape, axis);
    for (let o = 0, at = 0; o < outer; o++) {
      for (let i = 0; i < length; i++) {
        for (let n = 0; n < inner; n++, at++) sums[(o * size + positions[at]) * inner + n] += source[at];
      }
    }
    writeNumbers(output, (out) => out.set(sums));
  },

  topK: ([x], outputs, { k }) => writeOrdered(x, outputs, k, true),
  sort: ([x], outputs, { descending }) =>
    writeOrdered(x, outputs, rowsAndColumns(x.shape).columns, descending),
});

/** Codes of one vector; returns its scale. In f32, as kernels do it, so that codes are the same everywhere. */
function quantizeVector(values: Float32Array, codes: RawArray, at: number): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  if (largest < 1e-30) largest = 0;
  const inverse = largest === 0 ? 0 : Math.fround(127 / largest);
  for (const [d, value] of values.entries()) codes[at + d] = roundHalfEven(Math.fround(value * inverse));
  return Math.fround(largest / 127);
}

export const mutationKernels = defineKernels<'assign' | 'writeRows' | 'writeQuantizedRows'>({
  assign: ([target, value]) => writeRaw(target, readRaw(value)),

  writeRows: ([target, indices, rows]) => {
    const width = sizeOf(target.shape.slice(1));
    if (target.dtype === rows.dtype) {
      const source = readRaw(rows);
      const out = rawInPlace(target);
      for (const [i, row] of readIndices(indices).entries()) {
        out.set(source.subarray(i * width, (i + 1) * width), row * width);
      }
      return;
    }
    const source = readFloats(rows);
    for (const [i, row] of readIndices(indices).entries()) {
      const place = { ...target, shape: [width], offset: target.offset + row * width };
      writeFloats(place, (out) => out.set(source.subarray(i * width, (i + 1) * width)));
    }
  },

  writeQuantizedRows: ([codes, scales, indices, rows]) => {
    const source = readFloats(rows);
    const code = rawInPlace(codes);
    const scale = rawInPlace(scales);
    const D = codes.shape[codes.shape.length - 1];
    const vectors = sizeOf(scales.shape.slice(1));
    for (const [i, row] of readIndices(indices).entries()) {
      for (let n = 0; n < vectors; n++) {
        const from = source.subarray((i * vectors + n) * D, (i * vectors + n + 1) * D);
        scale[row * vectors + n] = quantizeVector(from, code, (row * vectors + n) * D);
      }
    }
  },
});
