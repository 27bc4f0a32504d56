import { describe, expect, it } from 'vitest';
import {
  arange,
  cholesky,
  concat,
  dispatch,
  type OpName,
  primitiveOps,
  referenceBackend,
  scatterAddAlongAxis,
  scatterAddRows,
  sort,
  sumOfSquares,
  type Tensor,
  tensor,
  topK,
  triangularSolve,
  where,
  zeros,
} from '../index.js';

// The other tests compare with the reference backend; here its primitives are compared with numbers worked out by hand.

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const integers = (...values: number[]) => tensor(Int32Array.from(values));
const booleans = (...values: number[]) => tensor(values, { dtype: 'bool' });
const matrix = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const cube = tensor([
  [
    [1, 2],
    [3, 4],
    [5, 6],
  ],
  [
    [7, 8],
    [9, 10],
    [11, 12],
  ],
]);

const spread = tensor([-2.5, -1, 0, 0.25, 3]);

interface Example {
  readonly op: OpName;
  readonly name?: string;
  readonly result: Tensor | readonly Tensor[];
  readonly expected: readonly number[] | readonly (readonly number[])[];
}

const factor = tensor([
  [2, 0, 0],
  [1, 3, 0],
  [-1, 0.5, 4],
]);
const causal = { scale: 1, causal: true };

const examples: readonly Example[] = [
  { op: 'fill', result: zeros([2]).add(0), expected: [0, 0] },
  { op: 'arange', result: arange(4, { start: -1, step: 0.5, dtype: 'f32' }), expected: [-1, -0.5, 0, 0.5] },
  { op: 'neg', result: spread.neg(), expected: [2.5, 1, -0, -0.25, -3] },
  { op: 'abs', result: spread.abs(), expected: [2.5, 1, 0, 0.25, 3] },
  { op: 'sign', result: spread.sign(), expected: [-1, -1, 0, 1, 1] },
  { op: 'floor', result: spread.floor(), expected: [-3, -1, 0, 0, 3] },
  { op: 'exp', result: tensor([0, 1, -1, -infinity]).exp(), expected: [1, Math.E, 1 / Math.E, 0] },
  { op: 'log', result: tensor([1, Math.E, 0, -1]).log(), expected: [0, 1, -infinity, nan] },
  { op: 'sqrt', result: tensor([0, 2.25, 16, -1]).sqrt(), expected: [0, 1.5, 4, nan] },
  { op: 'rsqrt', result: tensor([4, 0.25, 0]).rsqrt(), expected: [0.5, 2, infinity] },
  { op: 'sin', result: tensor([0, Math.PI / 2, Math.PI / 6]).sin(), expected: [0, 1, 0.5] },
  { op: 'cos', result: tensor([0, Math.PI / 3, Math.PI]).cos(), expected: [1, 0.5, -1] },
  { op: 'tanh', result: tensor([0, Math.log(3), -infinity]).tanh(), expected: [0, 0.8, -1] },
  { op: 'sigmoid', result: tensor([0, Math.log(3), -infinity]).sigmoid(), expected: [0.5, 0.75, 0] },
  { op: 'erf', result: tensor([0, 1, -infinity]).erf(), expected: [0, 0.8427007929497149, -1] },
  { op: 'isFinite', result: tensor([1, nan, infinity, -infinity]).isFinite(), expected: [1, 0, 0, 0] },
  { op: 'logicalNot', result: booleans(1, 0).logicalNot(), expected: [0, 1] },
  { op: 'cast', result: tensor([1.75, -1.75]).cast('i32'), expected: [1, -1] },
  { op: 'add', result: matrix.add(tensor([10, 20, 30])), expected: [11, 22, 33, 14, 25, 36] },
  { op: 'sub', result: matrix.sub(tensor([[1], [2]])), expected: [0, 1, 2, 2, 3, 4] },
  { op: 'mul', result: matrix.mul(matrix), expected: [1, 4, 9, 16, 25, 36] },
  { op: 'div', result: matrix.div(tensor([2, 4, 0])), expected: [0.5, 0.5, infinity, 2, 1.25, infinity] },
  { op: 'pow', result: tensor([2, 9, 2]).pow(tensor([3, 0.5, -1])), expected: [8, 3, 0.5] },
  { op: 'maximum', result: spread.maximum(0.1), expected: [0.1, 0.1, 0.1, 0.25, 3].map(Math.fround) },
  { op: 'minimum', result: spread.minimum(0), expected: [-2.5, -1, 0, 0, 0] },
  { op: 'equal', result: tensor([1, 2, nan]).equal(tensor([1, 3, nan])), expected: [1, 0, 0] },
  { op: 'less', result: tensor([1, 2, 3]).less(2), expected: [1, 0, 0] },
  { op: 'lessEqual', result: tensor([1, 2, 3]).lessEqual(2), expected: [1, 1, 0] },
  { op: 'where', result: where(booleans(1, 0, 1), tensor([1, 2, 3]), tensor([-1])), expected: [1, -1, 3] },
  { op: 'sum', name: 'all', result: cube.sum(), expected: [78] },
  { op: 'sum', name: 'middle', result: cube.sum(1), expected: [9, 12, 27, 30] },
  { op: 'sum', name: 'outer two', result: cube.sum([0, 2]), expected: [18, 26, 34] },
  { op: 'sum', name: 'bool counts', result: booleans(1, 0, 1, 1).sum(), expected: [3] },
  { op: 'sum', name: 'of nothing', result: zeros([2, 0]).sum(1), expected: [0, 0] },
  { op: 'max', result: cube.mul(-1).max([0, 1]), expected: [-1, -2] },
  {
    op: 'argMax',
    result: tensor([
      [3, 9, 9],
      [-1, -5, -2],
    ]).argMax(),
    expected: [1, 0],
  },
  {
    op: 'argMax',
    name: 'first axis',
    result: tensor([
      [3, 9, 9],
      [4, -5, 9],
    ]).argMax(0),
    expected: [1, 0, 0],
  },
  { op: 'cumulativeSum', result: cube.cumulativeSum(1), expected: [1, 2, 4, 6, 9, 12, 7, 8, 16, 18, 27, 30] },
  { op: 'sumOfSquares', result: sumOfSquares(matrix), expected: [91] },
  { op: 'copy', result: matrix.transpose().copy(), expected: [1, 4, 2, 5, 3, 6] },
  { op: 'concat', result: concat([matrix, tensor([[7], [8]])], 1), expected: [1, 2, 3, 7, 4, 5, 6, 8] },
  { op: 'pad', result: tensor([[1, 2]]).pad([1, 0], [0, 1], 9), expected: [9, 9, 9, 1, 2, 9] },
  { op: 'gatherRows', result: matrix.gatherRows(integers(1, 1, 0)), expected: [4, 5, 6, 4, 5, 6, 1, 2, 3] },
  {
    op: 'scatterAddRows',
    result: scatterAddRows(integers(2, 0, 2), cube.reshape(6, 2).slice(0, 0, 3), 3),
    expected: [3, 4, 0, 0, 6, 8],
  },
  {
    op: 'takeAlongAxis',
    result: matrix.takeAlongAxis(tensor(Int32Array.of(2, 0), { shape: [2, 1] }), 1),
    expected: [3, 4],
  },
  {
    op: 'takeAlongAxis',
    name: 'first axis',
    result: matrix.takeAlongAxis(tensor(Int32Array.of(1, 0, 1), { shape: [1, 3] }), 0),
    expected: [4, 2, 6],
  },
  {
    op: 'scatterAddAlongAxis',
    result: scatterAddAlongAxis(tensor(Int32Array.of(1, 1, 0, 0, 2, 0), { shape: [2, 3] }), matrix, 1, 3),
    expected: [3, 3, 0, 10, 0, 5],
  },
  {
    op: 'topK',
    result: Object.values(topK(tensor([[1, 5, 5, 3]]), 3)),
    expected: [
      [5, 5, 3],
      [1, 2, 3],
    ],
  },
  {
    op: 'sort',
    result: Object.values(sort(tensor([2, 1, nan, 1]))),
    expected: [
      [1, 1, 2, nan],
      [1, 3, 0, 2],
    ],
  },
  {
    op: 'sort',
    name: 'descending',
    result: Object.values(sort(tensor([2, 1, nan, 1]), { descending: true })),
    expected: [
      [nan, 2, 1, 1],
      [2, 0, 1, 3],
    ],
  },
  { op: 'assign', result: zeros([2]).assign(tensor([3, 4])), expected: [3, 4] },
  {
    op: 'writeRows',
    result: zeros([3, 2]).writeRows(
      integers(2, 0),
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ),
    expected: [3, 4, 0, 0, 1, 2],
  },
  { op: 'matmul', result: matrix.matmul(matrix.transpose()), expected: [14, 32, 32, 77] },
  {
    op: 'matmul',
    name: 'batches',
    result: cube.matmul(tensor([[1], [10]])),
    expected: [21, 43, 65, 87, 109, 131],
  },
  { op: 'matmul', name: 'of nothing', result: zeros([2, 0]).matmul(zeros([0, 2])), expected: [0, 0, 0, 0] },
  {
    op: 'cholesky',
    result: cholesky(factor.matmul(factor.transpose())),
    expected: [2, 0, 0, 1, 3, 0, -1, 0.5, 4],
  },
  {
    op: 'cholesky',
    name: 'not positive definite',
    result: cholesky(
      tensor([
        [4, 2],
        [2, 1],
      ]),
    ),
    expected: [2, 0, 1, nan],
  },
  { op: 'triangularSolve', result: triangularSolve(factor, tensor([[2], [7], [0]])), expected: [1, 2, 0] },
  {
    op: 'triangularSolve',
    name: 'transposed',
    result: triangularSolve(factor, tensor([[0], [6.5], [4]]), { transpose: true }),
    expected: [-0.5, 2, 1],
  },
  {
    op: 'unpack',
    result: dispatch('unpack', [tensor(Int8Array.of(1, -2, 127, 0), { shape: [2, 2] }), tensor([0.5, 2])], {
      ...{ format: 'int8-channel', rows: 2, columns: 2, rowStart: 0, rowCount: 2 },
    }),
    expected: [[0.5, -1, 254, 0]],
  },
  {
    // One key: its value. Two equal keys: the mean of their values.
    op: 'attention',
    result: dispatch(
      'attention',
      [zeros([2, 1, 1]), zeros([2, 1, 1]), tensor([[[3]], [[5]]]), integers(0, 2)],
      causal,
    ),
    expected: [
      [3, 4],
      [0, Math.log(2)],
    ],
  },
];

describe('reference values worked out by hand', () => {
  it.each(examples)('$op $name', async ({ result, expected }) => {
    const results = Array.isArray(result) ? result : [result];
    const lists = Array.isArray(expected[0]) ? (expected as number[][]) : [expected as number[]];
    expect(results).toHaveLength(lists.length);
    for (const [k, list] of lists.entries()) {
      const got = await results[k].toFloat32();
      expect(got).toHaveLength(list.length);
      for (const [i, value] of list.entries()) {
        if (Number.isFinite(value)) expect(Math.abs(got[i] - value)).toBeLessThan(2e-7);
        else expect(got[i]).toEqual(value);
      }
    }
  });

  it('cover all primitives', () => {
    const covered = new Set<OpName>([...examples.map(({ op }) => op), 'randomUniform', 'randomNormal']); // see philox.test.ts
    expect(primitiveOps.filter((op) => !covered.has(op))).toEqual([]);
  });

  it('are those of the reference backend', () => {
    for (const { result } of examples) {
      for (const one of Array.isArray(result) ? result : [result])
        expect(one.backend).toBe(referenceBackend());
    }
  });
});
