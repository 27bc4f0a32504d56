import { EPSILON, identity, rotateRows, scaledCopy } from './matrix.js';

export interface SymmetricEigen {
  /** Largest first, [size]. */
  readonly values: Float64Array;
  /** Eigenvectors as columns, orthonormal, [size, size]. */
  readonly vectors: Float64Array;
}

/**
 * A = V diag(values) Vᵀ of a symmetric matrix: Householder tridiagonalisation, then implicit QR steps with
 * Wilkinson's shift (Golub & Van Loan, 8.3). Only the lower triangle is read.
 * @throws ShapeError, NonFiniteError
 */
export function symmetricEigen(matrix: ArrayLike<number>, size: number): SymmetricEigen {
  const { values, scale } = scaledCopy('symmetricEigen', matrix, size, size);
  for (let r = 0; r < size; r++)
    for (let c = r + 1; c < size; c++) values[r * size + c] = values[c * size + r];
  const rows = identity(size); // eigenvectors as rows
  tridiagonalize(values, rows, size);
  const diagonal = Float64Array.from({ length: size }, (_, i) => values[i * size + i]);
  const beside = Float64Array.from({ length: Math.max(0, size - 1) }, (_, i) => values[(i + 1) * size + i]);
  diagonalize(diagonal, beside, rows, size);
  const order = Array.from(diagonal.keys()).sort((i, j) => diagonal[j] - diagonal[i]);
  const vectors = new Float64Array(size * size);
  for (const [column, i] of order.entries()) {
    for (let r = 0; r < size; r++) vectors[r * size + column] = rows[i * size + r];
  }
  return { values: Float64Array.from(order, (i) => diagonal[i] * scale), vectors };
}

/** A becomes tridiagonal, H A H …; `rows` becomes … H times itself. */
function tridiagonalize(a: Float64Array, rows: Float64Array, size: number): void {
  for (let k = 0; k < size - 2; k++) {
    const v = new Float64Array(size);
    let below = 0;
    for (let i = k + 1; i < size; i++) v[i] = a[i * size + k];
    for (let i = k + 2; i < size; i++) below += v[i] * v[i];
    if (below === 0) continue;
    const norm = Math.sqrt(v[k + 1] * v[k + 1] + below);
    v[k + 1] += v[k + 1] < 0 ? -norm : norm;
    const beta = 2 / (v[k + 1] * v[k + 1] + below);
    reflectBothSides(a, v, beta, size, k);
    reflectRows(rows, v, beta, size, k + 1);
  }
}

/** (I - β v vᵀ) A (I - β v vᵀ) = A - v wᵀ - w vᵀ with p = β A v and w = p - (β pᵀv / 2) v; v starts after index k. */
function reflectBothSides(a: Float64Array, v: Float64Array, beta: number, size: number, k: number): void {
  const w = new Float64Array(size);
  let overlap = 0;
  for (let i = k; i < size; i++) {
    let sum = 0;
    for (let j = k + 1; j < size; j++) sum += a[i * size + j] * v[j];
    w[i] = beta * sum;
    overlap += w[i] * v[i];
  }
  for (let i = k + 1; i < size; i++) w[i] -= (beta * overlap * v[i]) / 2;
  for (let i = k; i < size; i++) {
    for (let j = k; j < size; j++) a[i * size + j] -= v[i] * w[j] + w[i] * v[j];
  }
}

function reflectRows(rows: Float64Array, v: Float64Array, beta: number, size: number, first: number): void {
  const dots = new Float64Array(size);
  for (let i = first; i < size; i++) for (let c = 0; c < size; c++) dots[c] += v[i] * rows[i * size + c];
  for (let i = first; i < size; i++)
    for (let c = 0; c < size; c++) rows[i * size + c] -= beta * v[i] * dots[c];
}

/** QR steps on the last block that is not diagonal yet, until none is left. */
function diagonalize(diagonal: Float64Array, beside: Float64Array, rows: Float64Array, size: number): void {
  for (let end = size - 1; end > 0; ) {
    for (let i = 0; i < end; i++) {
      if (Math.abs(beside[i]) <= EPSILON * (Math.abs(diagonal[i]) + Math.abs(diagonal[i + 1]))) beside[i] = 0;
    }
    if (beside[end - 1] === 0) {
      end--;
      continue;
    }
    let start = end - 1;
    while (start > 0 && beside[start - 1] !== 0) start--;
    implicitStep(diagonal, beside, rows, size, start, end);
  }
}

function implicitStep(
  diagonal: Float64Array,
  beside: Float64Array,
  rows: Float64Array,
  size: number,
  start: number,
  end: number,
): void {
  const half = (diagonal[end - 1] - diagonal[end]) / 2;
  const last = beside[end - 1];
  // The eigenvalue of the last 2 × 2 block that is closer to its last element.
  const shift = diagonal[end] - last * (last / (half + (half < 0 ? -1 : 1) * Math.hypot(half, last)));
  let x = diagonal[start] - shift;
  let bulge = beside[start];
  for (let k = start; k < end; k++) {
    const radius = Math.hypot(x, bulge);
    const [c, s] = radius === 0 ? [1, 0] : [x / radius, bulge / radius];
    if (k > start) beside[k - 1] = radius;
    const [upper, lower, e] = [diagonal[k], diagonal[k + 1], beside[k]];
    diagonal[k] = c * c * upper + 2 * c * s * e + s * s * lower;
    diagonal[k + 1] = s * s * upper - 2 * c * s * e + c * c * lower;
    beside[k] = c * s * (lower - upper) + (c * c - s * s) * e;
    rotateRows(rows, size, k, k + 1, c, s);
    if (k < end - 1) {
      x = beside[k];
      bulge = s * beside[k + 1];
      beside[k + 1] *= c;
    }
  }
}
