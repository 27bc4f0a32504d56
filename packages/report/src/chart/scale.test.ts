import { describe, expect, it } from 'vitest';
import { createScale, type ScaleOptions } from './scale.js';

const labels = (values: number[], options: Partial<ScaleOptions> = {}) =>
  createScale(values, { range: [0, 100], ticks: 5, round: true, ...options }).ticks.map(({ label }) => label);

describe('linear ticks', () => {
  it.each([
    [
      [0, 1],
      ['0', '0.2', '0.4', '0.6', '0.8', '1'],
    ],
    [
      [1.52, 2.9],
      ['1.5', '2', '2.5', '3'],
    ],
    [
      [0, 2.1e6],
      ['0', '500 k', '1 M', '1.5 M', '2 M', '2.5 M'],
    ],
    [
      [-12.3, 30],
      ['−20', '−10', '0', '10', '20', '30'],
    ],
    [
      [1000, 6000],
      ['1,000', '2,000', '3,000', '4,000', '5,000', '6,000'],
    ],
    [
      [0.001, 0.0032],
      ['0.001', '0.0015', '0.002', '0.0025', '0.003', '0.0035'],
    ],
    [
      [-3e-7, 3e-7],
      ['−4e-7', '−2e-7', '0', '2e-7', '4e-7'],
    ],
  ])('%j', (values, expected) => expect(labels(values)).toEqual(expected));
});

describe('logarithmic ticks', () => {
  it.each([
    [
      [1e3, 1e9],
      ['1,000', '100 k', '10 M', '1 G'],
    ],
    [
      [4.2e5, 9.9e6],
      ['300 k', '1 M', '3 M', '10 M'],
    ],
    [
      [0.4, 3],
      ['0.2', '0.5', '1', '2', '5'],
    ],
    [
      [20, 23],
      ['20', '21', '22', '23'],
    ],
  ])('%j', (values, expected) => expect(labels(values, { type: 'log' })).toEqual(expected));
});

describe('positions', () => {
  it('cover the range, and logarithms space decades evenly', () => {
    const linear = createScale([2, 4], { range: [10, 110], ticks: 4 });
    expect([2, 3, 4].map(linear.position)).toEqual([10, 60, 110]);
    const log = createScale([1, 100], { type: 'log', range: [0, 100], ticks: 4 });
    expect([1, 10, 100].map(log.position)).toEqual([0, 50, 100]);
  });

  it.each([
    ['nothing', []],
    ['one value', [5]],
    ['zero alone', [0]],
    ['values that are no numbers', [Number.NaN, Number.POSITIVE_INFINITY]],
    ['huge and tiny values', [1e299, -1e299, 1e-299]],
    ['equal but for rounding', [1, 1 + 1e-16]],
  ])('are finite for %s', (_, values) => {
    for (const type of ['linear', 'log'] as const) {
      for (const round of [true, false]) {
        const scale = createScale(values, { type, range: [0, 100], ticks: 5, round });
        const [low, high] = scale.domain;
        expect(low).toBeLessThan(high);
        for (const { value } of scale.ticks) expect(scale.position(value)).toSatisfy(Number.isFinite);
        expect(scale.ticks.length).toBeLessThan(20);
      }
    }
  });
});
