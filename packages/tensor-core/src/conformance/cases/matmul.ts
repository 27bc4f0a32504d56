import { defineCase, input, integers, type Layout, list } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

type Sizes = readonly [M: number, N: number, K: number];

const sizes: readonly Sizes[] = [
  ...([
    [1, 1, 1],
    [1, 2, 3],
    [2, 1, 5],
    [3, 3, 3],
    [4, 5, 6],
    [7, 8, 9],
    [5, 16, 1],
    [16, 17, 15],
  ] as const),
  ...([
    [1, 130, 64],
    [1, 33, 130],
    [6, 16, 64],
    [31, 32, 33],
    [33, 31, 65],
    [63, 64, 65],
    [65, 63, 17],
  ] as const),
  ...([
    [64, 64, 64],
    [97, 1, 41],
    [100, 100, 7],
    [128, 129, 127],
    [130, 130, 130],
    [257, 65, 300],
  ] as const),
  ...([
    [0, 3, 4],
    [3, 0, 4],
    [3, 4, 0],
  ] as const),
];

const layouts: readonly (readonly [Layout, Layout])[] = [
  ['plain', 'transposed'],
  ['transposed', 'plain'],
  ['transposed', 'transposed'],
  ['sliced', 'sliced'],
  ['offset', 'offset'],
  ['expanded', 'plain'],
  ['plain', 'expanded'],
];

const batches: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [3, 4, 5],
    [5, 6],
  ],
  [
    [3, 4, 5],
    [3, 5, 6],
  ],
  [
    [4, 5],
    [3, 5, 6],
  ],
  [
    [2, 1, 4, 5],
    [3, 5, 6],
  ],
  [
    [2, 3, 4, 5],
    [2, 3, 5, 6],
  ],
  [
    [1, 4, 5],
    [2, 5, 6],
  ],
  [
    [0, 4, 5],
    [5, 6],
  ],
  [
    [2, 0, 5],
    [2, 5, 6],
  ],
  [
    [8, 1, 65],
    [8, 65, 33],
  ],
];

const pair = (
  [M, N, K]: Sizes,
  dtype: 'f32' | 'bf16' | 'f16',
  [a, b]: readonly [Layout, Layout] = ['plain', 'plain'],
) => [input([M, K], { dtype, layout: a }), input([K, N], { dtype, layout: b })];

const codes = (shape: readonly number[], layout: Layout = 'plain') =>
  input(shape, { dtype: 'i8', values: integers(-128, 128), layout });

/** [M, K] and [N, K]. */
const integerPair = ([M, N, K]: Sizes, [a, b]: readonly [Layout, Layout] = ['plain', 'plain']) => [
  codes([M, K], a),
  codes([N, K], b),
];

const integerSizes = sizes.filter((_, i) => i % 2 === 0);
const integerLayouts = layouts.slice(0, 6);

export const matmulCases = [
  ...sizes.map((size) => defineCase('matmul', size.join(' × '), pair(size, 'f32'), {})),
  ...halfDTypes.flatMap((dtype) =>
    (
      [
        [1, 33, 65],
        [5, 7, 9],
        [33, 17, 130],
        [64, 96, 32],
      ] as const
    ).map((size) => defineCase('matmul', `${size.join(' × ')} ${dtype}`, pair(size, dtype), {})),
  ),
  ...floatDTypes.flatMap((dtype) =>
    layouts.map((layout) =>
      defineCase('matmul', `${layout.join(' by ')} ${dtype}`, pair([18, 20, 35], dtype, layout), {}),
    ),
  ),
  ...layouts
    .slice(0, 3)
    .map((layout) =>
      defineCase('matmul', `large ${layout.join(' by ')}`, pair([70, 150, 90], 'f32', layout), {}),
    ),
  ...batches.map(([a, b]) => defineCase('matmul', `batches [${a}] by [${b}]`, [input(a), input(b)], {})),
  defineCase(
    'matmul',
    'transposed batches',
    [input([3, 4, 5], { layout: 'transposed' }), input([3, 5, 6], { layout: 'transposed' })],
    {},
  ),
  defineCase(
    'matmul',
    'NaN and infinity spread',
    [
      input([3, 4], { values: list(1, Number.NaN, 2, 0, 1, 1, 1, 1, Number.POSITIVE_INFINITY, 1, 1, 1) }),
      input([4, 2]),
    ],
    {},
  ),
  defineCase(
    'matmul',
    'sums of bf16 are kept in f32',
    [
      input([2, 2000], { dtype: 'bf16', values: list(1) }),
      input([2000, 3], { dtype: 'bf16', values: list(1) }),
    ],
    {},
    { gradients: false },
  ),
  defineCase(
    'matmul',
    'finite differences',
    [input([2, 3]), input([3, 2])],
    {},
    { gradients: 'differences' },
  ),
  defineCase(
    'matmul',
    'finite differences in batches',
    [input([2, 1, 3]), input([3, 2])],
    {},
    { gradients: 'differences' },
  ),
  ...integerSizes.map((size) => defineCase('integerMatmul', size.join(' × '), integerPair(size), {})),
  ...integerLayouts.map((layout) =>
    defineCase('integerMatmul', layout.join(' by '), integerPair([18, 20, 70], layout), {}),
  ),
  ...batches.map(([a, b]) =>
    defineCase(
      'integerMatmul',
      `batches [${a}] by [${b}]`,
      [codes(a), codes([...b.slice(0, -2), b[b.length - 1], b[b.length - 2]])],
      {},
    ),
  ),
  defineCase(
    'integerMatmul',
    'extremes',
    [
      input([3, 200], { dtype: 'i8', values: list(-128) }),
      input([5, 200], { dtype: 'i8', values: list(-128, -128, 127) }),
    ],
    {},
  ),
];
