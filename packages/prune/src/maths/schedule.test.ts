import { expect, it } from 'vitest';
import { gradualSparsity } from './schedule.js';

it('rises fast at first and ends at the final share', () => {
  const shares = [0, 25, 50, 100, 200].map((step) =>
    gradualSparsity(step, { start: 0.1, final: 0.5, steps: 100 }),
  );
  expect(shares[0]).toBeCloseTo(0.1);
  expect(shares[1]).toBeCloseTo(0.5 - 0.4 * 0.75 ** 3);
  expect(shares[2]).toBeCloseTo(0.45);
  expect(shares.slice(3)).toEqual([0.5, 0.5]);
});
