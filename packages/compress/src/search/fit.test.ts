import { describe, expect, it } from 'vitest';
import { fitLatency, fitLoss, fitSize } from './fit.js';
import { Knapsack } from './knapsack.js';

/** Ten alike units in 2 to 8 bits. */
const knapsack = new Knapsack(
  Array.from({ length: 10 }, (_, u) =>
    [2, 3, 4, 8].map((bits) => ({ bytes: 1000 * bits, loss: ((u + 1) / 10) * 4 ** -bits })),
  ),
);

describe('fitSize', () => {
  it('comes within two percent below the target', () => {
    const overhead = 5000;
    for (const target of [31_000, 40_000, 52_000]) {
      const found = fitSize(knapsack, ({ bytes }) => bytes + overhead, target).bytes + overhead;
      expect(found).toBeLessThanOrEqual(target);
      expect(found).toBeGreaterThan(target - 1100); // one unit more would not fit
    }
  });

  it('refuses what nothing fits into', () => {
    expect(() => fitSize(knapsack, ({ bytes }) => bytes, 19_999)).toThrow(/at least 20000 bytes/);
  });
});

describe('fitLatency', () => {
  // A token takes a fixed time, and as long as its weights are large.
  const latencyOf = ({ bytes }: { readonly bytes: number }) => 1e-3 + bytes * 1e-7;

  it.each([4e-3, 5e-3, 7e-3])('uses %d s up', async (limit) => {
    let runs = 0;
    const found = await fitLatency(knapsack, limit, async (allocation) => {
      runs++;
      return latencyOf(allocation);
    });
    expect(found && latencyOf(found)).toBeLessThanOrEqual(limit);
    expect(found && latencyOf(found)).toBeGreaterThan(0.85 * limit);
    expect(runs).toBeLessThan(8);
  });

  it('takes the best when all are fast, and nothing when none is or nobody measured', async () => {
    expect(await fitLatency(knapsack, 1, async (allocation) => latencyOf(allocation))).toEqual(
      knapsack.largest,
    );
    expect(await fitLatency(knapsack, 1e-3, async (allocation) => latencyOf(allocation))).toBeNull();
    expect(await fitLatency(knapsack, 1, async () => null)).toBeNull();
  });
});

describe('fitLoss', () => {
  it.each([0.3, 1, 2.5])('uses the limit up when losses are %d times the prediction', async (factor) => {
    let runs = 0;
    const limit = 0.05;
    const found = await fitLoss(knapsack, limit, async ({ loss }) => {
      runs++;
      return loss * factor;
    });
    expect((found?.loss ?? 0) * factor).toBeLessThanOrEqual(limit);
    expect((found?.loss ?? 0) * factor).toBeGreaterThan(0.8 * limit);
    expect(runs).toBeLessThan(6);
  });

  it('takes the smallest when that loses little', async () => {
    expect(await fitLoss(knapsack, 1e3, async ({ loss }) => loss)).toEqual(knapsack.smallest);
  });

  it('gives the best that was run when it is interrupted, and nothing before', async () => {
    expect(await fitLoss(knapsack, 0.05, async () => null)).toBeNull();
    let first: number | undefined;
    const found = await fitLoss(knapsack, 0.05, async ({ loss }) => {
      if (first !== undefined) return null;
      first = loss;
      return loss / 100;
    });
    expect(found?.loss).toBe(first);
  });
});
