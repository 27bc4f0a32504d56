import { describe, expect, it } from 'vitest';
import { LossCurve, sparkline } from './loss-curve.js';

describe('LossCurve', () => {
  it('keeps the mean of every step, in few bins', () => {
    const curve = new LossCurve(8);
    for (let step = 0; step < 1000; step++) curve.add(1000 - step);
    const means = curve.means();
    expect(means.length).toBeGreaterThan(3);
    expect(means.length).toBeLessThanOrEqual(8);
    expect(means).toEqual([...means].sort((a, b) => b - a));
    expect(means[0]).toBe(1000 - 127 / 2); // the first 128 steps
  });

  it('leaves out what is not finite', () => {
    const curve = new LossCurve(4);
    for (const loss of [2, Number.NaN, Number.POSITIVE_INFINITY, 1]) curve.add(loss);
    expect(curve.means()).toEqual([2, 1]);
  });
});

describe('sparkline', () => {
  it('goes from the lowest to the highest block', () => {
    expect(sparkline([7, 6, 5, 4, 3, 2, 1, 0], 20)).toBe('█▇▆▅▄▃▂▁');
    expect(sparkline([9, 1, 0], 2)).toBe('█▁');
  });

  it('draws one number, equal numbers and no room', () => {
    expect(sparkline([3], 5)).toBe('▁');
    expect(sparkline([3, 3], 5)).toBe('▁▁');
    expect(sparkline([], 5)).toBe('');
    expect(sparkline([1, 2], 0)).toBe('');
  });
});
