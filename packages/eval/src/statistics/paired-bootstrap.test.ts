import { expect, it } from 'vitest';
import { pairedBootstrap } from './paired-bootstrap.js';

/** Normal numbers by Box and Muller over a fixed sequence. */
function normals(count: number, seed: number): number[] {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
}

it('agrees with the interval of a mean of normal numbers', () => {
  const [count, spread] = [400, 2];
  const scores = normals(count, 7).map((z) => ({ first: 5 + spread * z, second: 4.5, weight: 1 }));
  const { difference, low, high } = pairedBootstrap(scores);
  const mean = scores.reduce((sum, { first, second }) => sum + first - second, 0) / count;
  const deviation = Math.sqrt(
    scores.reduce((sum, { first, second }) => sum + (first - second - mean) ** 2, 0) / (count - 1),
  );
  const half = (1.96 * deviation) / Math.sqrt(count);
  expect(difference).toBeCloseTo(mean, 10);
  expect(Math.abs(low - (mean - half))).toBeLessThan(0.1 * half);
  expect(Math.abs(high - (mean + half))).toBeLessThan(0.1 * half);
});

it('weighs long documents more, and is the same every time', () => {
  const scores = [
    { first: 10, second: 0, weight: 1 },
    { first: 0, second: 0, weight: 99 },
  ];
  expect(pairedBootstrap(scores).difference).toBeCloseTo(0.1, 12);
  expect(pairedBootstrap(scores, { seed: 3 })).toEqual(pairedBootstrap(scores, { seed: 3 }));
});

it('covers what is common to both: pairs that differ by a constant have no spread', () => {
  const scores = normals(50, 3).map((z) => ({ first: z + 0.25, second: z, weight: 1 }));
  const { low, high } = pairedBootstrap(scores);
  expect(low).toBeCloseTo(0.25, 10);
  expect(high).toBeCloseTo(0.25, 10);
});

it('refuses a single document', () => {
  expect(() => pairedBootstrap([{ first: 1, second: 2, weight: 1 }])).toThrow(/too few documents.*got 1/);
});
