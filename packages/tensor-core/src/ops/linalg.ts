import type { TensorInfo } from '../backend.js';
import { ShapeError } from '../errors.js';
import { describe, requireDType, requireRank } from './checks.js';
import { defineOps } from './definition.js';

function requireSquare(op: string, matrix: TensorInfo): void {
  requireDType(op, 'the matrix', matrix, 'f32');
  requireRank(op, 'the matrix', matrix, 2);
  if (matrix.shape[0] === matrix.shape[1]) return;
  throw new ShapeError({ where: op, what: 'needs a square matrix', got: describe([matrix]) });
}

export const linalgOps = defineOps<'cholesky' | 'triangularSolve'>({
  // Symmetric positive definite A [N, N] → lower L with L Lᵀ = A. Not positive definite: NaN from the failing column on.
  cholesky: {
    infer: ([matrix]) => {
      requireSquare('cholesky', matrix);
      return [matrix];
    },
  },
  // (lower L [N, N], B [N, M]) → X with L X = B, or Lᵀ X = B with `transpose`.
  triangularSolve: {
    infer: (inputs) => {
      const [lower, right] = inputs;
      requireSquare('triangularSolve', lower);
      requireDType('triangularSolve', 'the right side', right, 'f32');
      requireRank('triangularSolve', 'the right side', right, 2);
      if (right.shape[0] !== lower.shape[0]) {
        throw new ShapeError({
          where: 'triangularSolve',
          what: 'sizes differ',
          got: describe(inputs),
          expected: '[N, N] and [N, M]',
        });
      }
      return [right];
    },
  },
});
