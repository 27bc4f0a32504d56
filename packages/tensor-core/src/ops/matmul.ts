import { ShapeError } from '../errors.js';
import { broadcastShapes } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { sumToShape } from './binary.js';
import { describe, requireFloat, requireMinRank, requireSameDType } from './checks.js';
import { defineOps } from './definition.js';

export const matmulOps = defineOps<'matmul'>({
  // [..., M, K] × [..., K, N] → [..., M, N]; accumulates in f32 whatever the dtype, and rounds once, to `output`.
  matmul: {
    infer: (inputs, { output }) => {
      const [a, b] = inputs;
      requireFloat('matmul', inputs);
      requireSameDType('matmul', inputs);
      requireMinRank('matmul', 'the left operand', a, 2);
      requireMinRank('matmul', 'the right operand', b, 2);
      const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
      const [rows, inner] = a.shape.slice(-2);
      const [innerRight, columns] = b.shape.slice(-2);
      if (inner !== innerRight || !batch) {
        throw new ShapeError({
          where: 'matmul',
          what: batch ? 'inner sizes differ' : 'batch axes do not broadcast',
          got: describe(inputs),
          expected: '[..., M, K] and [..., K, N]',
          hint: 'A weight stored [out, in] is used as weight.transpose().',
        });
      }
      return [{ shape: [...batch, rows, columns], dtype: output ?? a.dtype }];
    },
    vjp: {
      saves: { inputs: [0, 1] },
      gradients: ({ gradient, input, inputInfos: [a, b], needs }) => {
        const g = gradient().cast(a.dtype);
        return [
          needs(0) ? sumToShape(g.matmul(input(1).transpose()), a.shape) : null,
          needs(1) ? weightGradient(input(0), g, b.shape) : null,
        ];
      },
    },
  },
});

/** aᵀ · g; rows of several batches that share b are one long matrix, so nothing is summed afterwards. */
function weightGradient(a: Tensor, g: Tensor, shape: readonly number[]): Tensor {
  if (shape.length === 2 && a.rank > 2) {
    const rows = (t: Tensor) => t.reshape(-1, t.shape[t.rank - 1]);
    return rows(a).transpose().matmul(rows(g));
  }
  return sumToShape(a.transpose().matmul(g), shape);
}
