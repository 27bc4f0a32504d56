import { noGrad, Random, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { qr, svd } from '@frugal/tensor-core/linalg';

/** The best approximation of a matrix by one of rank R, as B A with equal shares of the singular values. */
export interface PrincipalParts {
  /** A = √S Vᵀ, f32 [R, C]. */
  readonly down: Tensor;
  /** B = U √S, f32 [F, R]. */
  readonly up: Tensor;
}

/** Directions that are followed beyond those that are wanted. */
const OVERSAMPLING = 10;
/** Rounds of the power iteration: errors of neighbouring singular values shrink with each. */
const ROUNDS = 8;
/** Up to this many rows or columns all singular values are computed. */
const EXACT = 64;

/**
 * The first R singular values and vectors of a matrix f32 [F, C], by a randomized range finder with power iterations (Halko,
 * Martinsson & Tropp 2011, algorithm 4.4), exactly for small matrices.
 */
export async function principalParts(matrix: Tensor, rank: number): Promise<PrincipalParts> {
  const [F, C] = matrix.shape;
  const width = rank + OVERSAMPLING;
  if (Math.min(F, C) <= Math.max(EXACT, width)) {
    const { u, singularValues, v } = svd(await matrix.toFloat32(), F, C);
    return partsFrom(matrix, rank, { u, singularValues, v, k: Math.min(F, C) });
  }
  const { backend } = matrix;
  const dense = (values: Float64Array, shape: readonly number[]) =>
    tensor(Float32Array.from(values), { shape, backend });
  const read = (make: () => Tensor) => scope(() => noGrad(make)).toFloat32();
  let right = await read(() => new Random(0).normal([C, width], { backend }));
  let left: Float64Array = new Float64Array();
  for (let round = 0; round <= ROUNDS; round++) {
    const q = right;
    const product = await read(() => matrix.matmul(tensor(q, { shape: [C, width], backend })));
    left = qr(product, F, width).q;
    if (round === ROUNDS) break;
    const back = await read(() => matrix.transpose().matmul(dense(left, [F, width])));
    right = Float32Array.from(qr(back, C, width).q);
  }
  const small = await read(() => dense(left, [F, width]).transpose().matmul(matrix)); // [width, C]
  const inner = svd(small, width, C);
  const u = new Float64Array(F * width);
  for (let row = 0; row < F; row++)
    for (let i = 0; i < width; i++)
      for (let j = 0; j < width; j++) u[row * width + j] += left[row * width + i] * inner.u[i * width + j];
  return partsFrom(matrix, rank, { ...inner, u, k: width });
}

interface Factors {
  /** [F, k]. */
  readonly u: Float64Array;
  readonly singularValues: Float64Array;
  /** [C, k]. */
  readonly v: Float64Array;
  readonly k: number;
}

/** Missing directions, where the rank is larger than the matrix, are zero. */
function partsFrom(
  { shape: [F, C], backend }: Tensor,
  rank: number,
  { u, singularValues, v, k }: Factors,
): PrincipalParts {
  const down = new Float32Array(rank * C);
  const up = new Float32Array(F * rank);
  for (let r = 0; r < Math.min(rank, k); r++) {
    const root = Math.sqrt(singularValues[r]);
    for (let c = 0; c < C; c++) down[r * C + c] = root * v[c * k + r];
    for (let f = 0; f < F; f++) up[f * rank + r] = root * u[f * k + r];
  }
  return {
    down: tensor(down, { shape: [rank, C], backend }),
    up: tensor(up, { shape: [F, rank], backend }),
  };
}
