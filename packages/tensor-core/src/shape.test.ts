import { describe, expect, it } from 'vitest';
import { AxisError, ShapeError } from './errors.js';
import {
  broadcastShapes,
  broadcastStrides,
  checkShape,
  contiguousStrides,
  isContiguous,
  normalizeAxes,
  normalizeAxis,
  resolveReshape,
  sizeOf,
} from './shape.js';

describe('broadcastShapes', () => {
  it.each([
    [[], [], []],
    [[3], [], [3]],
    [[2, 3], [3], [2, 3]],
    [
      [2, 1, 4],
      [3, 1],
      [2, 3, 4],
    ],
    [
      [0, 3],
      [1, 3],
      [0, 3],
    ],
    [[1], [0], [0]],
  ])('%j and %j give %j', (a, b, expected) => {
    expect(broadcastShapes(a, b)).toEqual(expected);
    expect(broadcastShapes(b, a)).toEqual(expected);
  });

  it('refuses sizes that are neither equal nor 1', () => {
    expect(broadcastShapes([2], [3])).toBeNull();
    expect(broadcastShapes([2, 3], [2])).toBeNull();
    expect(broadcastShapes([0], [2])).toBeNull();
  });
});

describe('strides', () => {
  it('are row-major', () => {
    expect(contiguousStrides([2, 3, 4])).toEqual([12, 4, 1]);
    expect(contiguousStrides([])).toEqual([]);
  });

  it('are 0 along repeated axes', () => {
    expect(broadcastStrides([3, 1], [1, 1], [2, 3, 4])).toEqual([0, 1, 0]);
    expect(broadcastStrides([1], [7], [1])).toEqual([7]);
  });

  it('are contiguous whatever the stride of an axis of size 1', () => {
    expect(isContiguous([2, 1, 3], [3, 99, 1])).toBe(true);
    expect(isContiguous([2, 3], [1, 2])).toBe(false);
    expect(isContiguous([2, 3], [6, 1])).toBe(false);
    expect(isContiguous([], [])).toBe(true);
  });
});

describe('axes', () => {
  it('count from the end when negative', () => {
    expect(normalizeAxis('sum', -1, 3)).toBe(2);
    expect(normalizeAxes('sum', [-1, 0, 2], 3)).toEqual([0, 2]);
    expect(normalizeAxes('sum', undefined, 2)).toEqual([0, 1]);
  });

  it.each([3, -4, 0.5, Number.NaN])('refuse %d for rank 3', (axis) => {
    expect(() => normalizeAxis('sum', axis, 3)).toThrow(AxisError);
    expect(() => normalizeAxis('sum', axis, 3)).toThrow(
      `[sum] axis out of range: got axis ${axis} for a tensor of rank 3; expected an integer from -3 to 2.`,
    );
  });

  it('says that a scalar has none', () => {
    expect(() => normalizeAxis('max', 0, 0)).toThrow('expected no axis: the tensor is a scalar');
  });
});

describe('resolveReshape', () => {
  it('fills in one -1', () => {
    expect(resolveReshape([2, 6], [3, -1])).toEqual([3, 4]);
    expect(resolveReshape([], [-1])).toEqual([1]);
    expect(resolveReshape([0, 3], [-1, 3])).toEqual([0, 3]);
  });

  it.each([[[5]], [[-1, 5]], [[-1, -1]], [[2.5, 4]]])('refuses %j for [3, 4]', (shape) => {
    expect(() => resolveReshape([3, 4], shape)).toThrow(ShapeError);
  });
});

describe('checkShape', () => {
  it.each([[[-1]], [[1.5]], [[Number.NaN]], [[2 ** 60]]])('refuses %j', (shape) => {
    expect(() => checkShape('zeros', shape)).toThrow(ShapeError);
  });
});

it('sizeOf a scalar is 1', () => {
  expect(sizeOf([])).toBe(1);
  expect(sizeOf([3, 0])).toBe(0);
});
