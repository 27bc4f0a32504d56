import { identity, scaledCopy } from './matrix.js';

export interface QR {
  /** Orthonormal columns, [rows, k] with k = min(rows, columns). */
  readonly q: Float64Array;
  /** Upper triangle, [k, columns], diagonal ≥ 0. */
  readonly r: Float64Array;
}

/**
 * A = Q R by Householder reflections (Golub & Van Loan, 5.2). Q is orthonormal to rounding whatever the rank.
 * @throws ShapeError, NonFiniteError
 */
export function qr(matrix: ArrayLike<number>, rows: number, columns: number): QR {
  const { values, scale } = scaledCopy('qr', matrix, rows, columns);
  const k = Math.min(rows, columns);
  const reflectors = Array.from({ length: k }, (_, j) => {
    const reflector = householder(values, rows, columns, j);
    if (reflector) reflect(values, columns, reflector, j, j);
    return reflector;
  });
  const q = applyAll(reflectors, rows, k);
  const r = values.slice(0, k * columns);
  for (let i = 0; i < k; i++) {
    r.fill(0, i * columns, i * columns + i);
    if (r[i * columns + i] < 0) {
      for (let c = i; c < columns; c++) r[i * columns + c] *= -1;
      for (let row = 0; row < rows; row++) q[row * k + i] *= -1;
    }
  }
  for (let i = 0; i < r.length; i++) r[i] *= scale;
  return { q, r };
}

/** v with (I - β v vᵀ) x = ±‖x‖ e₁, for x = column j from row j on; null when x is zero below row j. */
interface Reflector {
  readonly v: Float64Array;
  readonly beta: number;
}

function householder(values: Float64Array, rows: number, columns: number, j: number): Reflector | null {
  const v = Float64Array.from({ length: rows - j }, (_, i) => values[(j + i) * columns + j]);
  let below = 0;
  for (let i = 1; i < v.length; i++) below += v[i] * v[i];
  if (below === 0) return null;
  const norm = Math.sqrt(v[0] * v[0] + below);
  // The sign that does not cancel.
  v[0] += v[0] < 0 ? -norm : norm;
  return { v, beta: 2 / (v[0] * v[0] + below) };
}

/** Applies a reflector that starts at `row` to the columns from `column` on. */
function reflect(
  values: Float64Array,
  columns: number,
  { v, beta }: Reflector,
  row: number,
  column: number,
): void {
  const dots = new Float64Array(columns - column);
  for (let i = 0; i < v.length; i++) {
    for (let c = column; c < columns; c++) dots[c - column] += v[i] * values[(row + i) * columns + c];
  }
  for (let i = 0; i < v.length; i++) {
    for (let c = column; c < columns; c++) values[(row + i) * columns + c] -= beta * v[i] * dots[c - column];
  }
}

/** H₀ H₁ … applied to the first k columns of the identity. */
function applyAll(reflectors: readonly (Reflector | null)[], rows: number, k: number): Float64Array {
  const q = new Float64Array(rows * k);
  q.set(identity(k));
  for (let j = k - 1; j >= 0; j--) {
    const reflector = reflectors[j];
    if (reflector) reflect(q, k, reflector, j, 0);
  }
  return q;
}
