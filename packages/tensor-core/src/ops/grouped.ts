import type { TensorInfo } from '../backend.js';
import { arange } from '../creation.js';
import { run } from '../dispatch.js';
import { ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import {
  describe,
  requireDType,
  requireFloat,
  requireRank,
  requireSameDType,
  requireShape,
} from './checks.js';
import { defineOps } from './definition.js';
import { concat } from './functions.js';

export function requireOffsets(op: string, offsets: TensorInfo, groups: number): void {
  requireDType(op, 'offsets', offsets, 'i32');
  requireShape(op, 'offsets', offsets, [groups + 1], [offsets]);
}

/** dtype [N, 1]: 1 for rows of group e, offsets[e] ≤ row < offsets[e + 1]. */
export function groupMask(offsets: Tensor, group: number, like: Tensor): Tensor {
  const row = arange(like.shape[0], { backend: like.backend });
  const started = offsets
    .slice(0, group, group + 1)
    .lessEqual(row)
    .cast('i32');
  const ended = offsets
    .slice(0, group + 1, group + 2)
    .lessEqual(row)
    .cast('i32');
  return started.sub(ended).cast(like.dtype).reshape(-1, 1);
}

/** x [A, m, n], its matrix `index` [m, n]. */
function matrixAt(x: Tensor, index: number): Tensor {
  return x.slice(0, index, index + 1).reshape(x.shape[1], x.shape[2]);
}

/** dtype [N, 1]: 1 for rows that use adapter `index`. */
function adapterMask(adapter: Tensor, index: number, like: Tensor): Tensor {
  return adapter.equal(index).cast(like.dtype).reshape(-1, 1);
}

/** Gradients of down [A, R, C] and up [A, R, F]: sums over the rows of each adapter. */
function lowRankWeightGradients(
  g: Tensor,
  x: Tensor,
  down: Tensor,
  up: Tensor,
  adapter: Tensor,
  scale: number,
): Tensor[] {
  const perAdapter = Array.from({ length: down.shape[0] }, (_, a) => {
    const [first, second] = factorsOf(down, up, a, x);
    const mine = g.mul(adapterMask(adapter, a, g)).mul(scale); // [N, F]
    const narrow = x.matmul(first.transpose()); // [N, R]
    return [mine.matmul(second.transpose()).transpose().matmul(x), narrow.transpose().matmul(mine)];
  });
  return [down, up].map((like, i) =>
    concat(perAdapter.map((pair) => pair[i].reshape(1, ...like.shape.slice(1)))).cast(like.dtype),
  );
}

/** down [R, C] and up [R, F] of one adapter, as numbers like those of x. */
function factorsOf(down: Tensor, up: Tensor, index: number, x: Tensor): [Tensor, Tensor] {
  return [matrixAt(down, index).cast(x.dtype), matrixAt(up, index).cast(x.dtype)];
}

/**
 * Matrix products of experts: rows sorted by group, group e owning rows offsets[e] … offsets[e + 1] - 1. The
 * offsets are a tensor, so nothing is read back. Decompositions compute every group for every row.
 */
export const groupedOps = defineOps<'groupedMatmul' | 'groupedMatmulWeightGradient' | 'groupedLowRank'>({
  // (x [N, C], weight [E, C, F], offsets i32 [E + 1]) → [N, F]; weight [E, F, C] with `transposeWeight`.
  groupedMatmul: {
    infer: (inputs, { transposeWeight }) => {
      const [x, weight, offsets] = inputs;
      requireFloat('groupedMatmul', [x, weight]);
      requireSameDType('groupedMatmul', [x, weight]);
      requireRank('groupedMatmul', 'the input', x, 2);
      requireRank('groupedMatmul', 'the weight', weight, 3);
      requireOffsets('groupedMatmul', offsets, weight.shape[0]);
      const [inner, outer] = transposeWeight ? [2, 1] : [1, 2];
      if (weight.shape[inner] !== x.shape[1]) {
        throw new ShapeError({ where: 'groupedMatmul', what: 'inner sizes differ', got: describe(inputs) });
      }
      return [{ shape: [x.shape[0], weight.shape[outer]], dtype: x.dtype }];
    },
    depth: ([x]) => x.shape[1],
    indices: ([x]) => [{ input: 2, limit: x.shape[0] + 1 }],
    vjp: {
      saves: { inputs: [0, 1, 2] },
      gradients: ({ gradient, input, needs, attributes: { transposeWeight } }) => {
        const [x, weight, offsets] = [input(0), input(1), input(2)];
        const sides = transposeWeight ? [gradient(), x] : [x, gradient()];
        return [
          needs(0)
            ? run('groupedMatmul', [gradient(), weight, offsets], { transposeWeight: !transposeWeight })
            : null,
          needs(1)
            ? run('groupedMatmulWeightGradient', [...sides, offsets], { groups: weight.shape[0] })
            : null,
          null,
        ];
      },
    },
    decompose: ([x, weight, offsets], { transposeWeight }) => {
      const products = Array.from({ length: weight.shape[0] }, (_, e) => {
        const matrix = matrixAt(weight, e);
        return x.mul(groupMask(offsets, e, x)).matmul(transposeWeight ? matrix.transpose() : matrix);
      });
      return [products.reduce((sum, product) => sum.add(product))];
    },
  },
  // (x [N, C], g [N, F], offsets) → [E, C, F]: xᵀ g of each group.
  groupedMatmulWeightGradient: {
    infer: ([x, g, offsets], { groups }) => {
      requireSameDType('groupedMatmulWeightGradient', [x, g]);
      requireShape('groupedMatmulWeightGradient', 'the gradient', g, [x.shape[0], -1], [x, g]);
      requireOffsets('groupedMatmulWeightGradient', offsets, groups);
      return [{ shape: [groups, x.shape[1], g.shape[1]], dtype: x.dtype }];
    },
    decompose: ([x, g, offsets], { groups }) => {
      const products = Array.from({ length: groups }, (_, e) =>
        x
          .mul(groupMask(offsets, e, x))
          .transpose()
          .matmul(g)
          .reshape(1, x.shape[1], g.shape[1]),
      );
      return [concat(products, 0)];
    },
  },
  // (x [N, C], down [A, R, C], up [A, R, F], adapter i32 [N], base [N, F] with `base`) → base + scale · up[a]ᵀ down[a] x
  // per row, base or 0 where a < 0. The factors may be of another dtype than x.
  groupedLowRank: {
    infer: (inputs, { base }) => {
      const [x, down, up, adapter] = inputs;
      requireFloat('groupedLowRank', [x, down, up]);
      requireSameDType('groupedLowRank', [down, up]);
      requireShape('groupedLowRank', 'down', down, [-1, -1, x.shape[1]], inputs);
      requireShape('groupedLowRank', 'up', up, [down.shape[0], down.shape[1], -1], inputs);
      requireDType('groupedLowRank', 'adapter', adapter, 'i32');
      requireShape('groupedLowRank', 'adapter', adapter, [x.shape[0]], inputs);
      const shape = [x.shape[0], up.shape[2]];
      if (base) {
        requireSameDType('groupedLowRank', [x, inputs[4]]);
        requireShape('groupedLowRank', 'the base', inputs[4], shape, inputs);
      }
      return [{ shape, dtype: x.dtype }];
    },
    vjp: {
      saves: { inputs: [0, 1, 2, 3] },
      gradients: ({ gradient, input, needs, attributes }) => {
        const [x, down, up, adapter] = [input(0), input(1), input(2), input(3)];
        const weights =
          needs(1) || needs(2)
            ? lowRankWeightGradients(gradient(), x, down, up, adapter, attributes.scale)
            : [];
        return [
          needs(0)
            ? run('groupedLowRank', [gradient(), up, down, adapter], { scale: attributes.scale })
            : null,
          ...[weights[0] ?? null, weights[1] ?? null],
          null,
          ...(attributes.base ? [needs(4) ? gradient() : null] : []),
        ];
      },
    },
    decompose: ([x, down, up, adapter, base], { scale }) => {
      const products = Array.from({ length: down.shape[0] }, (_, a) => {
        const [first, second] = factorsOf(down, up, a, x);
        return x
          .mul(adapterMask(adapter, a, x))
          .matmul(first.transpose())
          .matmul(second);
      });
      const sum = products.reduce((all, product) => all.add(product)).mul(scale);
      return [base ? base.add(sum) : sum];
    },
  },
});
