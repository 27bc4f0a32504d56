import { sizeOf, type TensorView } from '@frugal/tensor-core';
import { aroundAxis, elements, fill, numbers } from '../views.js';
import type { Family } from './machine.js';
import { exceeds } from './reduce.js';

/** Calls `visit` with each element of `indices` and the element of a tensor with `size` places along `axis` that it names. */
function along(
  indices: TensorView,
  axis: number,
  size: number,
  visit: (element: number, place: number) => void,
): void {
  const positions = elements(indices);
  const { length, inner } = aroundAxis(indices.shape, axis);
  for (let i = 0; i < positions.length; i++) {
    const outer = Math.floor(i / (length * inner));
    visit(i, (outer * size + positions[i]) * inner + (i % inner));
  }
}

/** The first `count` of each row in order, and their positions; equal numbers keep their order. */
function order(
  x: TensorView,
  [values, indices]: readonly TensorView[],
  count: number,
  descending: boolean,
): void {
  const columns = x.shape[x.shape.length - 1];
  const [source, sortKeys] = [elements(x), numbers(x)];
  const [valuesOut, indicesOut] = [elements(values), elements(indices)];
  for (let row = 0; row * columns < source.length; row++) {
    const start = row * columns;
    const compare = (i: number, j: number) => {
      const [a, b] = [sortKeys[start + i], sortKeys[start + j]];
      const sign = Number(exceeds(a, b)) - Number(exceeds(b, a));
      return (descending ? -sign : sign) || i - j;
    };
    const positions = Int32Array.from({ length: columns }, (_, i) => i).sort(compare);
    for (let i = 0; i < count; i++) {
      valuesOut[row * count + i] = source[start + positions[i]];
      indicesOut[row * count + i] = positions[i];
    }
  }
}

export const indexingKernels: Family<
  'gatherRows' | 'scatterAddRows' | 'takeAlongAxis' | 'scatterAddAlongAxis' | 'topK' | 'sort'
> = () => ({
  gatherRows: ([table, indices], [output]) => {
    const width = sizeOf(table.shape.slice(1));
    const [source, rows, out] = [elements(table), elements(indices), elements(output)];
    for (let i = 0; i < rows.length; i++)
      out.set(source.subarray(rows[i] * width, (rows[i] + 1) * width), i * width);
  },

  scatterAddRows: ([indices, values], [output]) => {
    const width = sizeOf(values.shape.slice(1));
    const [source, rows] = [numbers(values), elements(indices)];
    const sums = new Float64Array(sizeOf(output.shape));
    for (let i = 0; i < source.length; i++)
      sums[rows[Math.floor(i / width)] * width + (i % width)] += source[i];
    fill(output, (out) => out.set(sums));
  },

  takeAlongAxis: ([x, indices], [output], { axis }) => {
    const [source, out] = [elements(x), elements(output)];
    along(indices, axis, x.shape[axis], (i, place) => {
      out[i] = source[place];
    });
  },

  scatterAddAlongAxis: ([indices, values], [output], { axis, size }) => {
    const source = numbers(values);
    const sums = new Float64Array(sizeOf(output.shape));
    along(indices, axis, size, (i, place) => {
      sums[place] += source[i];
    });
    fill(output, (out) => out.set(sums));
  },

  topK: ([x], outputs, { k }) => order(x, outputs, k, true),
  sort: ([x], outputs, { descending }) => order(x, outputs, x.shape[x.shape.length - 1], descending),
});
