import { describe, expect, it } from 'vitest';
import { NonFiniteError, ShapeError } from '../errors.js';
import { uniformStream } from '../gradcheck.js';
import { qr, svd, symmetricEigen } from './index.js';
import { identity, product, transposed } from './matrix.js';

function random(rows: number, columns: number, seed = 1): Float64Array {
  const next = uniformStream(seed + rows * 1000 + columns);
  return Float64Array.from({ length: rows * columns }, () => 2 * next() - 1);
}

/** Product of [rows, rank] and [rank, columns]. */
function lowRank(rows: number, columns: number, rank: number): Float64Array {
  return product(random(rows, rank), random(rank, columns, 2), rows, rank, columns);
}

function scaled(matrix: Float64Array, factor: number): Float64Array {
  return matrix.map((value) => value * factor);
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => Math.max(sum, Math.abs(value)), 0);
}

/** Largest difference over the largest number. */
function distance(a: Float64Array, b: Float64Array): number {
  return largest(a.map((value, i) => value - b[i])) / (largest(b) || 1);
}

/** QᵀQ = I for a matrix of orthonormal columns. */
function expectOrthonormal(q: Float64Array, rows: number, columns: number): void {
  const gram = product(transposed(q, rows, columns), q, columns, rows, columns);
  expect(largest(gram.map((value, i) => value - identity(columns)[i]))).toBeLessThan(1e-13);
}

const sizes = [
  [1, 1],
  [5, 1],
  [1, 5],
  [4, 4],
  [40, 7],
  [7, 40],
  [33, 33],
  [0, 3],
] as const;

const matrices: readonly { name: string; rows: number; columns: number; values: Float64Array }[] = [
  ...sizes.map(([rows, columns]) => ({
    name: `${rows} × ${columns}`,
    rows,
    columns,
    values: random(rows, columns),
  })),
  { name: 'rank 3 of 8', rows: 20, columns: 8, values: lowRank(20, 8, 3) },
  { name: 'rank 3, wide', rows: 8, columns: 20, values: lowRank(8, 20, 3) },
  { name: 'zeros', rows: 6, columns: 4, values: new Float64Array(24) },
  {
    name: 'a zero column',
    rows: 6,
    columns: 4,
    values: random(6, 4).map((value, i) => (i % 4 === 1 ? 0 : value)),
  },
  { name: 'equal columns', rows: 6, columns: 4, values: random(6, 4).map((_, i, all) => all[i - (i % 4)]) },
  { name: 'identity', rows: 9, columns: 9, values: identity(9) },
  { name: 'numbers near 1e-300', rows: 12, columns: 9, values: scaled(random(12, 9), 1e-300) },
  { name: 'numbers near 1e300', rows: 12, columns: 9, values: scaled(random(12, 9), 1e300) },
  { name: 'subnormal numbers', rows: 4, columns: 3, values: scaled(random(4, 3), 1e-310) },
  {
    name: 'columns of very different size',
    rows: 9,
    columns: 5,
    values: random(9, 5).map((v, i) => v * 10 ** (-8 * (i % 5))),
  },
];

describe('qr', () => {
  it.each(matrices)('$name', ({ rows, columns, values }) => {
    const k = Math.min(rows, columns);
    const { q, r } = qr(values, rows, columns);
    expectOrthonormal(q, rows, k);
    // Subnormal numbers have few digits themselves.
    expect(distance(product(q, r, rows, k, columns), values)).toBeLessThan(
      largest(values) < 1e-307 ? 1e-10 : 1e-14,
    );
    for (let i = 0; i < k; i++) {
      expect(r[i * columns + i]).toBeGreaterThanOrEqual(0);
      for (let c = 0; c < i; c++) expect(r[i * columns + c]).toBe(0);
    }
  });
});

describe('svd', () => {
  it.each(matrices)('$name', ({ rows, columns, values }) => {
    const k = Math.min(rows, columns);
    const { u, singularValues, v } = svd(values, rows, columns);
    expectOrthonormal(u, rows, k);
    expectOrthonormal(v, columns, k);
    const weighted = u.map((value, i) => value * singularValues[i % k]);
    const rebuilt = product(weighted, transposed(v, columns, k), rows, k, columns);
    expect(distance(rebuilt, values)).toBeLessThan(largest(values) < 1e-307 ? 1e-10 : 1e-13);
    expect([...singularValues]).toEqual([...singularValues].sort((a, b) => b - a));
    expect(Math.min(...singularValues, 0)).toBe(0);
  });

  it('finds the rank', () => {
    const { singularValues } = svd(lowRank(30, 12, 4), 30, 12);
    expect(singularValues[3]).toBeGreaterThan(0.1);
    expect(singularValues[4]).toBeLessThan(1e-13);
  });

  it('finds known singular values, small ones to full precision', () => {
    // Two orthogonal columns: their lengths are the singular values.
    const { singularValues } = svd([3, -4e-9, 4, 3e-9], 2, 2);
    expect(singularValues[0]).toBeCloseTo(5, 14);
    expect(Math.abs(singularValues[1] / 5e-9 - 1)).toBeLessThan(1e-14);
  });
});

describe('symmetricEigen', () => {
  const symmetric = (size: number, seed = 1) => {
    const half = random(size, size, seed);
    return half.map((value, i) => value + half[(i % size) * size + Math.floor(i / size)]);
  };

  it.each([
    { name: '1', size: 1, values: Float64Array.of(-3) },
    { name: '2', size: 2, values: symmetric(2) },
    { name: '3', size: 3, values: symmetric(3) },
    { name: '50', size: 50, values: symmetric(50) },
    { name: 'zeros', size: 4, values: new Float64Array(16) },
    { name: 'identity', size: 7, values: identity(7) },
    { name: 'diagonal', size: 3, values: Float64Array.of(1, 0, 0, 0, -5, 0, 0, 0, 3) },
    { name: 'rank 2', size: 9, values: product(random(9, 2), transposed(random(9, 2), 9, 2), 9, 2, 9) },
    { name: 'numbers near 1e-300', size: 9, values: scaled(symmetric(9), 1e-300) },
    { name: 'numbers near 1e300', size: 9, values: scaled(symmetric(9), 1e299) },
  ])('$name', ({ size, values }) => {
    const { values: eigenvalues, vectors } = symmetricEigen(values, size);
    expectOrthonormal(vectors, size, size);
    const weighted = vectors.map((value, i) => value * eigenvalues[i % size]);
    const rebuilt = product(weighted, transposed(vectors, size, size), size, size, size);
    expect(distance(rebuilt, values)).toBeLessThan(1e-13);
    expect([...eigenvalues]).toEqual([...eigenvalues].sort((a, b) => b - a));
  });

  it('finds the eigenvalues of a known matrix', () => {
    // The second differences of n points have 2 - 2 cos(πk / (n + 1)).
    const n = 20;
    const matrix = identity(n).map((value, i) =>
      value ? 2 : Math.abs(Math.floor(i / n) - (i % n)) === 1 ? -1 : 0,
    );
    const { values } = symmetricEigen(matrix, n);
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos((Math.PI * (n - i)) / (n + 1)), 13);
    });
  });

  it('reads the lower triangle only', () => {
    expect([...symmetricEigen([1, 99, 0, 2], 2).values]).toEqual([2, 1]);
  });
});

describe('bad input', () => {
  it('is refused with its position', () => {
    expect(() => qr([1, 2, 3], 2, 2)).toThrow(ShapeError);
    expect(() => qr([1, 2, 3], 2, 2)).toThrow(
      '[qr] the array does not hold the matrix: got 3 numbers; expected 2 × 2.',
    );
    expect(() => svd([1, Number.NaN, 3, 4], 2, 2)).toThrow(NonFiniteError);
    expect(() => symmetricEigen([1, 2, Number.POSITIVE_INFINITY, 4], 2)).toThrow('row 1, column 0');
  });
});
