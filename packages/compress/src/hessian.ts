import { ArgumentError, NonFiniteError, noGrad, run, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { firstNotFinite } from '@frugal/tensor-core/formats';

export interface InverseFactor {
  /** U [columns, columns], row-major, upper triangle: (gram + damping)⁻¹ = Uᵀ U. */
  readonly factor: Float32Array;
  /** Columns that were always zero: their weights do not matter. */
  readonly dead: readonly number[];
  /** What was added to the diagonal, as a share of its mean. */
  readonly damping: number;
}

/** Damping grows by this factor until the matrix is positive definite. */
const GROWTH = 10;

/**
 * The factor by which GPTQ and SparseGPT spread the error of one column over those to its right (Frantar et al. 2022,
 * arXiv:2210.17323, step 3). The reference inverts and decomposes again; here the Cholesky factor of the matrix in
 * reverse order is inverted once: with J the reversal and J G J = L Lᵀ, U = J L⁻¹ J.
 * A gram matrix that is singular or badly scaled gets more damping, and the result says how much.
 * @param gram f32 [columns, columns], Σ x xᵀ over the calibration rows
 * @throws NonFiniteError when the statistics are not finite; ArgumentError when no damping up to 1 helps
 */
export async function inverseFactor(gram: Tensor, damping = 0.01): Promise<InverseFactor> {
  const size = gram.shape[0];
  const values = await gram.toFloat32();
  const bad = firstNotFinite(values);
  if (bad >= 0) {
    throw new NonFiniteError({
      where: 'inverseFactor',
      what: `the gram matrix is not finite in column ${bad % size}`,
      got: String(values[bad]),
      hint: 'The calibration drives this layer to infinity or NaN: check the data and the layers before it.',
    });
  }
  const dead: number[] = [];
  let sum = 0;
  for (let i = 0; i < size; i++) {
    const diagonal = values[i * size + i];
    if (diagonal > 0) sum += diagonal;
    else dead.push(i);
  }
  const mean = dead.length < size ? sum / (size - dead.length) : 1;
  for (const i of dead) values[i * size + i] = mean;
  const reversed = values.reverse(); // in its place, as all that follows: these matrices are large
  const diagonal = Float32Array.from({ length: size }, (_, i) => reversed[i * size + i]);
  for (let share = damping; share <= 1; share *= GROWTH) {
    for (let i = 0; i < size; i++) reversed[i * size + i] = diagonal[i] + share * mean;
    const factor = await factorOf(reversed, size, gram);
    if (factor) return { factor, dead, damping: share };
  }
  throw new ArgumentError({
    where: 'inverseFactor',
    what: 'the gram matrix is not positive definite, whatever is added to its diagonal',
    got: `${size} columns, ${dead.length} of them always zero`,
    hint: 'Calibrate with more or more varied text.',
  });
}

async function factorOf(
  reversed: Float32Array,
  size: number,
  { backend }: Tensor,
): Promise<Float32Array | null> {
  const eye = new Float32Array(size * size);
  for (let i = 0; i < size; i++) eye[i * size + i] = 1;
  const inverse = scope(() =>
    noGrad(() => {
      const shape = [size, size];
      const matrix = tensor(reversed, { shape, backend });
      const lower = run('cholesky', [matrix], {});
      matrix.dispose(); // these matrices are large
      return run('triangularSolve', [lower, tensor(eye, { shape, backend })], { transpose: false });
    }),
  );
  const lower = await inverse.toFloat32();
  inverse.dispose();
  return firstNotFinite(lower) < 0 ? lower.reverse() : null;
}
