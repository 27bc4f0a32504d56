import { normalizedHadamard, splitSize } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { rotationMatrix } from './rotation.js';

function deviation(values: ArrayLike<number>, size: number): number {
  let worst = 0;
  for (let r = 0; r < size; r++)
    for (let c = 0; c <= r; c++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += values[r * size + k] * values[c * size + k];
      worst = Math.max(worst, Math.abs(sum - (r === c ? 1 : 0)));
    }
  return worst;
}

describe('rotationMatrix', () => {
  it.each([1, 2, 8, 12, 20, 24, 44, 48, 60, 68, 72, 80, 84])('order %d is a Hadamard matrix', (order) => {
    const { values } = normalizedHadamard(order);
    expect(values.every((value) => Math.abs(Math.abs(value) - 1 / Math.sqrt(order)) < 1e-14)).toBe(true);
    expect(deviation(values, order)).toBeLessThan(1e-13);
  });

  it.each([1, 3, 7, 64, 96, 192, 251, 576])('size %d is orthogonal', async (size) => {
    expect(deviation(await rotationMatrix(size, 5), size)).toBeLessThan(2e-6);
  });

  it('has entries of one size where Hadamard orders fill it', async () => {
    for (const size of [576, 960, 1536]) expect(splitSize(size).rest).toBe(1);
    const values = await rotationMatrix(576, 1);
    expect(values.every((value) => Math.abs(Math.abs(value) - 1 / 24) < 1e-7)).toBe(true);
  });

  it('depends on the seed alone', async () => {
    expect(await rotationMatrix(36, 2)).toEqual(await rotationMatrix(36, 2));
    expect(await rotationMatrix(36, 2)).not.toEqual(await rotationMatrix(36, 3));
  });
});
