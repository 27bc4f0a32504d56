import { EPSILON, identity, product, rotateRows, scaledCopy, transposed } from './matrix.js';
import { qr } from './qr.js';

export interface SVD {
  /** Left singular vectors as columns, [rows, k] with k = min(rows, columns). */
  readonly u: Float64Array;
  /** Largest first, [k]. */
  readonly singularValues: Float64Array;
  /** Right singular vectors as columns, [columns, k]. */
  readonly v: Float64Array;
}

const MAXIMUM_SWEEPS = 60;

/**
 * A = U diag(s) Vᵀ by one-sided Jacobi rotations after a QR step (Demmel & Veselić 1992): accurate for small
 * singular values too. U and V have orthonormal columns whatever the rank.
 * @throws ShapeError, NonFiniteError
 */
export function svd(matrix: ArrayLike<number>, rows: number, columns: number): SVD {
  const { values, scale } = scaledCopy('svd', matrix, rows, columns);
  if (rows < columns) {
    const { u, singularValues, v } = tallSvd(transposed(values, rows, columns), columns, rows);
    return { u: v, singularValues: singularValues.map((value) => value * scale), v: u };
  }
  const { u, singularValues, v } = tallSvd(values, rows, columns);
  return { u, singularValues: singularValues.map((value) => value * scale), v };
}

/** rows ≥ columns. */
function tallSvd(matrix: Float64Array, rows: number, columns: number): SVD {
  const { q, r } = qr(matrix, rows, columns);
  // Rotations from the left make the rows of R orthogonal: R = Gᵀ diag(s) Vᵀ. `rotations` collects G.
  const rotations = identity(columns);
  for (let sweep = 0; sweep < MAXIMUM_SWEEPS && rotateAll(r, rotations, columns); sweep++);
  const norms = squaredNorms(r, columns).map(Math.sqrt);
  const order = Array.from(norms.keys()).sort((i, j) => norms[j] - norms[i]);
  const singularValues = Float64Array.from(order, (i) => norms[i]);
  const right = permuteRows(r, columns, order);
  normalizeRows(right, columns, singularValues);
  const left = transposed(permuteRows(rotations, columns, order), columns, columns);
  return {
    u: product(q, left, rows, columns, columns),
    singularValues,
    v: transposed(right, columns, columns),
  };
}

function squaredNorms(matrix: Float64Array, columns: number): Float64Array {
  return Float64Array.from({ length: columns }, (_, i) => dotRows(matrix, columns, i, i));
}

/** One rotation for every pair of rows that are not orthogonal yet; false when none was needed. */
function rotateAll(matrix: Float64Array, rotations: Float64Array, size: number): boolean {
  const squares = squaredNorms(matrix, size);
  let rotated = false;
  for (let p = 0; p < size - 1; p++) {
    for (let q = p + 1; q < size; q++) {
      const overlap = dotRows(matrix, size, p, q);
      if (Math.abs(overlap) <= 4 * EPSILON * Math.sqrt(squares[p] * squares[q])) continue;
      rotated = true;
      // tan of the angle that makes the two rows orthogonal, the smaller of the two solutions.
      const zeta = (squares[q] - squares[p]) / (2 * overlap);
      const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      rotateRows(matrix, size, p, q, cosine, -cosine * tangent);
      rotateRows(rotations, size, p, q, cosine, -cosine * tangent);
      squares[p] = Math.max(0, squares[p] - tangent * overlap);
      squares[q] += tangent * overlap;
    }
  }
  return rotated;
}

function dotRows(matrix: Float64Array, columns: number, p: number, q: number): number {
  let sum = 0;
  for (let i = p * columns, j = q * columns; i < (p + 1) * columns; i++, j++) sum += matrix[i] * matrix[j];
  return sum;
}

function permuteRows(matrix: Float64Array, columns: number, order: readonly number[]): Float64Array {
  const out = new Float64Array(matrix.length);
  for (const [to, from] of order.entries()) {
    out.set(matrix.subarray(from * columns, (from + 1) * columns), to * columns);
  }
  return out;
}

/**
 * Rows become orthonormal. Rows of rounding noise, where singular values are zero next to the largest, never became
 * orthogonal by rotations: what they have in common with earlier rows is taken off, or they are replaced.
 */
function normalizeRows(matrix: Float64Array, size: number, norms: Float64Array): void {
  for (let i = 0; i < size; i++) {
    if (norms[i] > 0) for (let c = 0; c < size; c++) matrix[i * size + c] /= norms[i];
    if (norms[i] === 0 || orthogonalizeRow(matrix, size, i) < 0.5) replaceRow(matrix, size, i);
  }
}

/** Takes off the projections on the rows before, normalises; returns the norm that was left. */
function orthogonalizeRow(matrix: Float64Array, size: number, i: number): number {
  const row = matrix.subarray(i * size, (i + 1) * size);
  for (let r = 0; r < i; r++) {
    const overlap = dotRows(matrix, size, r, i);
    for (let c = 0; c < size; c++) row[c] -= overlap * matrix[r * size + c];
  }
  const norm = Math.sqrt(dotRows(matrix, size, i, i));
  if (norm > 0) for (let c = 0; c < size; c++) row[c] /= norm;
  return norm;
}

/** Row i = the unit vector that the rows before span least, made orthogonal to them. */
function replaceRow(matrix: Float64Array, size: number, i: number): void {
  const covered = new Float64Array(size);
  for (let r = 0; r < i; r++) for (let c = 0; c < size; c++) covered[c] += matrix[r * size + c] ** 2;
  const axis = covered.indexOf(Math.min(...covered));
  matrix.fill(0, i * size, (i + 1) * size);
  matrix[i * size + axis] = 1;
  // Twice: the second pass takes off what rounding left.
  orthogonalizeRow(matrix, size, i);
  orthogonalizeRow(matrix, size, i);
}
