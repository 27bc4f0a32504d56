import type { TensorInfo } from '../backend.js';
import { ShapeError } from '../errors.js';
import { broadcastShapes } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { sumToShape } from './binary.js';
import { describe, requireDType, requireFloat, requireMinRank, requireSameDType } from './checks.js';
import { defineOps } from './definition.js';

/** Batch axes of two operands, broadcast. */
function batchOf(op: string, inputs: readonly TensorInfo[], innerFits: boolean, expected: string): number[] {
  const [a, b] = inputs;
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (innerFits && batch) return [...batch];
  throw new ShapeError({
    where: op,
    what: batch ? 'inner sizes differ' : 'batch axes do not broadcast',
    got: describe(inputs),
    expected,
    hint: 'A weight stored [out, in] is used as weight.transpose().',
  });
}

/** So many products of two codes add up to at most 2²⁴: f32 sums are exact. */
const EXACT_DEPTH = 1024;

export const matmulOps = defineOps<'matmul' | 'integerMatmul'>({
  // [..., M, K] × [..., K, N] → [..., M, N]; accumulates in f32 whatever the dtype, and rounds once, to `output`.
  matmul: {
    infer: (inputs, { output }) => {
      const [a, b] = inputs;
      requireFloat('matmul', inputs);
      requireSameDType('matmul', inputs);
      requireMinRank('matmul', 'the left operand', a, 2);
      requireMinRank('matmul', 'the right operand', b, 2);
      const [rows, inner] = a.shape.slice(-2);
      const [innerRight, columns] = b.shape.slice(-2);
      const batch = batchOf('matmul', inputs, inner === innerRight, '[..., M, K] and [..., K, N]');
      return [{ shape: [...batch, rows, columns], dtype: output ?? a.dtype }];
    },
    depth: ([a]) => a.shape[a.shape.length - 1],
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
  // i8 [..., M, K] × i8 [..., N, K] → i32 [..., M, N], exact (modulo 2³²): whole numbers carry no gradients.
  integerMatmul: {
    infer: (inputs) => {
      const [a, b] = inputs;
      requireDType('integerMatmul', 'the left operand', a, 'i8');
      requireDType('integerMatmul', 'the right operand', b, 'i8');
      requireMinRank('integerMatmul', 'the left operand', a, 2);
      requireMinRank('integerMatmul', 'the right operand', b, 2);
      const [rows, inner] = a.shape.slice(-2);
      const [columns, innerRight] = b.shape.slice(-2);
      const batch = batchOf('integerMatmul', inputs, inner === innerRight, '[..., M, K] and [..., N, K]');
      return [{ shape: [...batch, rows, columns], dtype: 'i32' }];
    },
    decompose: ([a, b]) => {
      const K = a.shape[a.rank - 1];
      const products = Array.from({ length: Math.max(1, Math.ceil(K / EXACT_DEPTH)) }, (_, i) => {
        const [start, end] = [i * EXACT_DEPTH, Math.min(K, (i + 1) * EXACT_DEPTH)];
        const [left, right] = [a, b].map((x) => x.slice(x.rank - 1, start, end).cast('f32'));
        return left.matmul(right.transpose()).cast('i32');
      });
      return [products.reduce((sum, product) => sum.add(product))];
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
