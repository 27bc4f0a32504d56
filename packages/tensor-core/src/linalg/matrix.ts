import { NonFiniteError, ShapeError } from '../errors.js';

/** Distance from 1 to the next number. */
export const EPSILON = Number.EPSILON;

/** A row-major matrix of `rows` × `columns` numbers, copied and divided by `scale` so that the largest is about 1. */
export interface ScaledMatrix {
  readonly values: Float64Array;
  /** A power of two: scaling does not round. */
  readonly scale: number;
}

/**
 * Scaling keeps sums of squares from overflowing and underflowing.
 * @throws ShapeError when the array does not hold the matrix, NonFiniteError for NaN and infinity
 */
export function scaledCopy(
  where: string,
  matrix: ArrayLike<number>,
  rows: number,
  columns: number,
): ScaledMatrix {
  if (matrix.length !== rows * columns) {
    throw new ShapeError({
      where,
      what: 'the array does not hold the matrix',
      got: `${matrix.length} numbers`,
      expected: `${rows} × ${columns}`,
    });
  }
  let largest = 0;
  for (let i = 0; i < matrix.length; i++) {
    if (!Number.isFinite(matrix[i])) {
      const at = `row ${Math.floor(i / columns)}, column ${i % columns}`;
      throw new NonFiniteError({ where, what: `not a finite number at ${at}`, got: String(matrix[i]) });
    }
    largest = Math.max(largest, Math.abs(matrix[i]));
  }
  // 2^1023 and 2^-1022 are the ends of the range of powers of two whose inverse is a normal number as well.
  const exponent = largest === 0 ? 0 : Math.max(-1022, Math.min(1022, Math.floor(Math.log2(largest))));
  const scale = 2 ** exponent;
  return { values: Float64Array.from(matrix, (value) => value / scale), scale };
}

export function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(matrix.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c];
  return out;
}

export function identity(size: number): Float64Array {
  const out = new Float64Array(size * size);
  for (let i = 0; i < size; i++) out[i * size + i] = 1;
  return out;
}

/** Rows `p` and `q` of a matrix become c·p + s·q and c·q - s·p. */
export function rotateRows(
  matrix: Float64Array,
  columns: number,
  p: number,
  q: number,
  c: number,
  s: number,
): void {
  for (let i = p * columns, j = q * columns; i < (p + 1) * columns; i++, j++) {
    const x = matrix[i];
    const y = matrix[j];
    matrix[i] = c * x + s * y;
    matrix[j] = c * y - s * x;
  }
}

/** [rows, inner] · [inner, columns]. */
export function product(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < inner; k++) {
      const value = a[r * inner + k];
      if (value === 0) continue;
      for (let c = 0; c < columns; c++) out[r * columns + c] += value * b[k * columns + c];
    }
  }
  return out;
}
