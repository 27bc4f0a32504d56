import { describe, expect, it } from 'vitest';
import { Knapsack, type PricedChoice } from './knapsack.js';

/** Smaller and smaller losses for more and more bytes, unlike in each unit. */
function units(count: number, choices: number): PricedChoice[][] {
  return Array.from({ length: count }, (_, u) =>
    Array.from({ length: choices }, (_, c) => ({
      bytes: 100 * (u + 1) + c * (37 + ((u * 53) % 71)),
      loss: ((u * 7919) % 13) / (c + 1) ** 2 + 0.01 * (choices - c),
    })),
  );
}

/** The smallest sum of losses within a budget, by trying all. */
function bruteForce(all: readonly PricedChoice[][], budget: number, loss = 0): number {
  if (budget < 0) return Number.POSITIVE_INFINITY;
  const [first, ...rest] = all;
  if (!first) return loss;
  return Math.min(...first.map((choice) => bruteForce(rest, budget - choice.bytes, loss + choice.loss)));
}

describe('Knapsack', () => {
  it('finds what trying all combinations finds', () => {
    const all = units(6, 4);
    const knapsack = new Knapsack(all);
    for (const budget of [2100, 2350, 2600, 2900, 3200, 4000]) {
      const found = knapsack.within(budget);
      expect(found?.bytes).toBeLessThanOrEqual(budget);
      expect(found?.loss).toBeCloseTo(bruteForce(all, budget), 10);
      expect(knapsack.price(found?.picks ?? [])).toEqual(found);
    }
  });

  it('knows what fits at least and at most', () => {
    const knapsack = new Knapsack(units(3, 2));
    expect(knapsack.within(knapsack.smallest.bytes - 1)).toBeNull();
    expect(knapsack.within(knapsack.smallest.bytes)).toEqual(knapsack.smallest);
    expect(knapsack.within(1e9)).toBe(knapsack.largest);
  });

  it('has a frontier on which more bytes lose less', () => {
    const front = new Knapsack(units(12, 5)).frontier(30);
    expect(front.length).toBeGreaterThan(15);
    for (const [i, point] of front.entries()) {
      if (i === 0) continue;
      expect(point.bytes).toBeGreaterThan(front[i - 1].bytes);
      expect(point.loss).toBeLessThan(front[i - 1].loss);
    }
  });

  it('never takes more for what is no better', () => {
    const flat = [
      [
        { bytes: 10, loss: 1 },
        { bytes: 20, loss: 1 },
      ],
    ];
    expect(new Knapsack(flat).within(100)?.picks).toEqual([0]);
  });
});
