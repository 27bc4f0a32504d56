import { memoryUsage, noGrad, Random, scope } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { GramSum } from './gram-sum.js';

it.each([1, 31, 100, 192, 193, 300, 576, 700])(
  'of %i columns is the whole product, and symmetric',
  async (columns) => {
    const before = memoryUsage().storages;
    const random = new Random(columns);
    const batches = [5, 1, 17].map((rows) => random.normal([rows, columns]));
    const expected = new Float64Array(columns * columns);
    for (const batch of batches) {
      const x = await batch.toFloat32();
      for (let at = 0; at < x.length; at += columns)
        for (let i = 0; i < columns; i++)
          for (let j = 0; j < columns; j++) expected[i * columns + j] += x[at + i] * x[at + j];
    }
    const [first, ...rest] = batches;
    let sum = scope(() => noGrad(() => GramSum.of(first)));
    for (const batch of rest) {
      const next = scope(() => noGrad(() => sum.add(batch)));
      sum.dispose();
      sum = next;
    }
    const whole = scope(() => noGrad(() => sum.finish()));
    const values = await whole.toFloat32();
    expect(whole.shape).toEqual([columns, columns]);
    let [furthest, lopsided] = [0, 0];
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) {
        const value = values[i * columns + j];
        furthest = Math.max(furthest, Math.abs(value - expected[i * columns + j]));
        if (value !== values[j * columns + i]) lopsided++;
      }
    }
    expect(furthest).toBeLessThan(1e-4);
    expect(lopsided).toBe(0);
    for (const held of [sum, whole, ...batches]) held.dispose();
    expect(memoryUsage().storages).toBe(before);
  },
);
