import { Random } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { spreadError } from './spread-error.js';

async function normal(seed: number, size: number): Promise<Float32Array> {
  return new Random(seed).normal([size]).toFloat32();
}

/** An upper triangle as `inverseFactor` gives it: a positive diagonal and smaller numbers beside it. */
async function factorOf(columns: number, seed: number): Promise<Float32Array> {
  const values = await normal(seed, columns * columns);
  return values.map((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    if (column < row) return 0;
    return column === row ? 1 + Math.abs(value) : 0.1 * value;
  });
}

/** The formula, column by column in double precision: every error goes to all columns behind it at once. */
function reference(
  weight: Float32Array,
  columns: number,
  factor: Float32Array,
  isZero: (row: number, column: number) => boolean,
): { readonly values: Float64Array; readonly loss: number } {
  const values = Float64Array.from(weight);
  let loss = 0;
  for (let r = 0; r < weight.length / columns; r++) {
    for (let c = 0; c < columns; c++) {
      if (!isZero(r, c)) continue;
      const error = values[r * columns + c] / factor[c * columns + c];
      values[r * columns + c] = 0;
      loss += (error * error) / 2;
      for (let k = c + 1; k < columns; k++) values[r * columns + k] -= error * factor[c * columns + k];
    }
  }
  return { values, loss };
}

describe('spreadError', () => {
  it.each([
    [5, 20, {}],
    [7, 300, {}],
    [3, 129, { blockSize: 64 }],
    [4, 100, { blockSize: 10 }],
    [6, 260, { together: 5 }],
    [2, 400, { together: 150 }],
  ])('%i rows of %i columns, %j, equals one column at a time', async (rows, columns, options) => {
    const [weight, factor] = [await normal(rows, rows * columns), await factorOf(columns, columns)];
    const isZero = (row: number, column: number) => (row + column * 7) % 3 === 0;
    const expected = reference(weight, columns, factor, isZero);
    const begun: [number, number][] = [];
    const { together = 1 } = options as { together?: number };
    const loss = await spreadError(weight, [rows, columns], factor, {
      ...options,
      begin: (start, end) => void begun.push([start, end]),
      choose: (row, start, values, i) => {
        const column = start + i;
        // Columns that are chosen together are all there when the first of them is.
        if (column % together === 0)
          expect(values.length - i).toBeGreaterThanOrEqual(Math.min(together, columns - column));
        return isZero(row, column) ? 0 : values[i];
      },
    });
    expect(loss / expected.loss).toBeCloseTo(1, 4);
    const largest = Math.max(...expected.values.map(Math.abs));
    for (const [i, value] of weight.entries())
      expect(Math.abs(value - expected.values[i]) / largest).toBeLessThan(1e-5);
    expect(begun.map(([start]) => start)).toEqual([0, ...begun.slice(0, -1).map(([, end]) => end)]);
    expect(begun.at(-1)?.[1]).toBe(columns);
  });
});
