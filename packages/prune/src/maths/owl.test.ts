import { expect, it } from 'vitest';
import { outlierShare, owlSparsities } from './owl.js';

it('counts what stands out', () => {
  const weight = Float32Array.of(1, 1, 1, 100, 1, 1, 1, 1);
  expect(outlierShare(weight, Float32Array.of(1, 1, 1, 1), 5)).toBe(1 / 8);
  expect(outlierShare(weight, Float32Array.of(1, 1, 1, 0), 5)).toBe(0);
});

it('keeps the average over all weights and the spread, and spares what has outliers', () => {
  const parts = [
    { share: 0.01, weights: 100 },
    { share: 0.05, weights: 300 },
    { share: 0.03, weights: 50 },
  ];
  const sparsities = owlSparsities(parts, 0.5, 0.08);
  const mean = sparsities.reduce((sum, value, i) => sum + value * parts[i].weights, 0) / 450;
  expect(mean).toBeCloseTo(0.5, 10);
  expect(sparsities[0]).toBeGreaterThan(sparsities[2]);
  expect(sparsities[2]).toBeGreaterThan(sparsities[1]);
  expect(sparsities[0] - sparsities[1]).toBeCloseTo(0.16, 10);
});

it('gives equal parts the same', () => {
  const equal = Array.from({ length: 3 }, () => ({ share: 0.02, weights: 10 }));
  expect(owlSparsities(equal, 0.6, 0.08)).toEqual([0.6, 0.6, 0.6]);
});

it.each([0.9, 0.02, 0.995])('leaves every part something to lose and to keep at %d', (sparsity) => {
  const parts = Array.from({ length: 12 }, (_, i) => ({
    share: i === 0 ? 0.01 : i === 1 ? 0.09 : 0.05,
    weights: 10,
  }));
  const sparsities = owlSparsities(parts, sparsity, 0.08);
  expect(sparsities.reduce((sum, value) => sum + value, 0) / 12).toBeCloseTo(sparsity, 10);
  expect(Math.max(...sparsities)).toBeLessThan(1);
  expect(Math.min(...sparsities)).toBeGreaterThanOrEqual(0);
  expect(sparsities[0]).toBeGreaterThan(sparsities[1]);
});

it('never asks for less than no zeros, however sums round', () => {
  for (let i = 1; i < 500; i++) {
    const parts = [0.001 * (i % 7), 0.013 * (i % 11), 0.02, i / 3000].map((share, k) => ({
      share,
      weights: 100 + k * i,
    }));
    expect(Math.min(...owlSparsities(parts, 0.05, 0.08))).toBeGreaterThanOrEqual(0);
  }
});
