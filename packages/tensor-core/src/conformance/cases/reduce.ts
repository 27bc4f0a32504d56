import { type ConformanceCase, defineCase, distinct, input, integers, list } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

const reductions: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []],
  [[7], [0]],
  [[1], [0]],
  [[2, 3, 5], []],
  [[2, 3, 5], [0]],
  [[2, 3, 5], [1]],
  [[2, 3, 5], [2]],
  [
    [2, 3, 5],
    [0, 2],
  ],
  [
    [2, 3, 5],
    [0, 1, 2],
  ],
  [[4, 1, 6], [1]],
  [[1030], [0]],
  [[5, 1025], [1]],
  [[1025, 5], [0]],
  [[0, 3], [1]],
];

function reductionCases(op: 'sum' | 'max'): ConformanceCase[] {
  return [
    ...reductions.map(([shape, axes]) =>
      defineCase(op, `[${shape}] over [${axes}]`, [input(shape)], { axes, keepDims: false }),
    ),
    defineCase(op, 'keeps axes', [input([2, 3, 5])], { axes: [0, 2], keepDims: true }),
    ...halfDTypes.map((dtype) =>
      defineCase(op, dtype, [input([6, 300], { dtype })], { axes: [1], keepDims: false }),
    ),
    ...(['transposed', 'sliced', 'offset', 'expanded'] as const).map((layout) =>
      defineCase(op, layout, [input([4, 6], { layout })], { axes: [1], keepDims: false }),
    ),
    ...(['i32', 'i8', 'u8', 'bool'] as const).map((dtype) =>
      defineCase(op, dtype, [input([4, 300], { dtype })], { axes: [1], keepDims: false }),
    ),
  ];
}

const notANumber = list(1, Number.NaN, 3, -2, Number.NEGATIVE_INFINITY, 5, Number.POSITIVE_INFINITY);

export const reduceCases = [
  ...reductionCases('sum'),
  ...reductionCases('max'),
  defineCase('sum', 'of nothing is 0', [input([3, 0])], { axes: [1], keepDims: false }),
  defineCase('sum', 'many equal numbers', [input([100000], { values: list(0.1) })], {
    axes: [0],
    keepDims: false,
  }),
  defineCase('sum', 'cancels', [input([4, 1000], { values: list(1e4, -1e4, 0.25, 1) })], {
    axes: [1],
    keepDims: false,
  }),
  defineCase('max', 'NaN and infinities', [input([3, 7], { values: notANumber })], {
    axes: [1],
    keepDims: false,
  }),
  defineCase('max', 'all -∞', [input([2, 5], { values: list(Number.NEGATIVE_INFINITY) })], {
    axes: [1],
    keepDims: false,
  }),
  defineCase(
    'max',
    'ties share the gradient',
    [input([3, 8], { values: list(1, 2, 2, 0) })],
    { axes: [1], keepDims: false },
    { gradients: true },
  ),
  ...(['sum', 'max'] as const).map((op) =>
    defineCase(
      op,
      'finite differences',
      [input([2, 3, 2], { values: distinct })],
      { axes: [0, 2], keepDims: false },
      { gradients: 'differences' },
    ),
  ),

  ...[[7], [1], [3, 1000], [0, 4]].map((shape) =>
    defineCase('argMax', `[${shape}]`, [input(shape)], { axis: shape.length - 1 }),
  ),
  ...[0, 1, 2].map((axis) => defineCase('argMax', `axis ${axis}`, [input([3, 4, 5])], { axis })),
  ...floatDTypes.map((dtype) =>
    defineCase('argMax', `first of equals, ${dtype}`, [input([5, 40], { dtype, values: list(0, 3, 1, 3) })], {
      axis: 1,
    }),
  ),
  ...(['i32', 'i8', 'u8', 'bool'] as const).map((dtype) =>
    defineCase('argMax', dtype, [input([5, 40], { dtype })], { axis: 1 }),
  ),
  defineCase('argMax', 'NaN is the largest', [input([3, 7], { values: notANumber })], { axis: 1 }),
  defineCase('argMax', 'transposed', [input([6, 9], { layout: 'transposed' })], { axis: 1 }),

  ...[[7], [1], [0], [2, 1000], [3, 0]].map((shape) =>
    defineCase('cumulativeSum', `[${shape}]`, [input(shape)], { axis: shape.length - 1 }),
  ),
  ...[0, 1, 2].map((axis) => defineCase('cumulativeSum', `axis ${axis}`, [input([3, 4, 5])], { axis })),
  ...halfDTypes.map((dtype) => defineCase('cumulativeSum', dtype, [input([4, 50], { dtype })], { axis: 1 })),
  defineCase('cumulativeSum', 'i32', [input([4, 50], { dtype: 'i32', values: integers(0, 5) })], { axis: 1 }),
  defineCase('cumulativeSum', 'transposed', [input([6, 9], { layout: 'transposed' })], { axis: 0 }),
  defineCase(
    'cumulativeSum',
    'finite differences',
    [input([2, 4])],
    { axis: 1 },
    { gradients: 'differences' },
  ),

  ...[[], [0], [1], [33], [40, 257]].map((shape) =>
    defineCase('sumOfSquares', `[${shape}]`, [input(shape)], {}),
  ),
  ...halfDTypes.map((dtype) => defineCase('sumOfSquares', dtype, [input([300], { dtype })], {})),
  defineCase(
    'sumOfSquares',
    'several tensors',
    [input([7]), input([300, 300], { dtype: 'bf16' }), input([0]), input([5, 6], { layout: 'transposed' })],
    {},
  ),
  defineCase('sumOfSquares', 'many tensors', Array(700).fill(input([3])), {}),
  defineCase(
    'sumOfSquares',
    'finite differences, two',
    [input([3]), input([2, 2])],
    {},
    { gradients: 'differences' },
  ),
  defineCase('sumOfSquares', 'sliced', [input([5, 6], { layout: 'sliced' })], {}),
  defineCase('sumOfSquares', 'infinite', [input([5], { values: list(1, Number.POSITIVE_INFINITY) })], {}),
  defineCase('sumOfSquares', 'finite differences', [input([3, 2])], {}, { gradients: 'differences' }),
];
