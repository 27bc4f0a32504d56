import type { FloatDType } from '../../dtype.js';
import { type ConformanceCase, defineCase, input, type Layout, list, vector } from '../case.js';
import { halfDTypes } from './shared.js';

interface Groups {
  readonly name: string;
  readonly offsets: readonly number[];
  readonly N?: number;
  readonly C?: number;
  readonly F?: number;
  readonly dtype?: FloatDType;
  readonly layout?: Layout;
  readonly gradients?: 'differences';
}

const problems: readonly Groups[] = [
  { name: 'one group', offsets: [0, 7] },
  { name: 'three groups', offsets: [0, 3, 4, 9] },
  { name: 'empty groups', offsets: [0, 0, 4, 4, 6, 6] },
  { name: 'rows outside all groups', offsets: [2, 5, 7], N: 10 },
  { name: 'no rows', offsets: [0, 0, 0] },
  { name: 'one row each', offsets: [0, 1, 2, 3, 4] },
  { name: 'large', offsets: [0, 65, 66, 130, 200], C: 65, F: 70 },
  { name: 'transposed', offsets: [0, 3, 9], layout: 'transposed' },
  { name: 'sliced', offsets: [0, 3, 9], layout: 'sliced' },
  ...halfDTypes.map((dtype) => ({ name: dtype, offsets: [0, 3, 4, 9], C: 40, dtype })),
  { name: 'finite differences', offsets: [0, 2, 3], C: 2, F: 2, gradients: 'differences' },
];

function matmulCases({
  name,
  offsets,
  C = 5,
  F = 6,
  dtype = 'f32',
  layout = 'plain',
  gradients,
  ...rest
}: Groups): ConformanceCase[] {
  const groups = offsets.length - 1;
  const N = rest.N ?? offsets[groups];
  const options = { dtype, layout };
  return [
    ...[false, true].map((transposeWeight) =>
      defineCase(
        'groupedMatmul',
        `${name}${transposeWeight ? ', weight transposed' : ''}`,
        [
          input([N, C], options),
          input(transposeWeight ? [groups, F, C] : [groups, C, F], options),
          vector(...offsets),
        ],
        { transposeWeight },
        { gradients },
      ),
    ),
    defineCase(
      'groupedMatmulWeightGradient',
      name,
      [input([N, C], options), input([N, F], options), vector(...offsets)],
      { groups },
    ),
  ];
}

function lowRankCase(
  name: string,
  N: number,
  { dtype = 'f32', layout = 'plain', C = 5, F = 7, gradients }: Partial<Groups> = {},
  factors = dtype,
): ConformanceCase {
  const [A, R] = [3, 2];
  const adapters = input([N], { dtype: 'i32', values: list(0, -1, 2, 1, 1, -1, 0) });
  const inputs = [
    input([N, C], { dtype, layout }),
    input([A, R, C], { dtype: factors, layout }),
    input([A, R, F], { dtype: factors, layout }),
    adapters,
  ];
  return defineCase('groupedLowRank', name, inputs, { scale: 0.5 }, { gradients });
}

function lowRankOverBase(name: string, N: number, sizes: Partial<Groups> = {}): ConformanceCase {
  const { inputs } = lowRankCase(name, N, sizes);
  const base = input([N, sizes.F ?? 7], { dtype: sizes.dtype, layout: sizes.layout });
  return defineCase(
    'groupedLowRank',
    `${name} over a base`,
    [...inputs, base],
    { scale: 0.5, base: true },
    { gradients: sizes.gradients },
  );
}

export const groupedCases = [
  ...problems.flatMap(matmulCases),
  lowRankCase('7 rows', 7),
  lowRankCase('one row', 1),
  lowRankCase('no rows', 0),
  lowRankCase('large', 70, { C: 130, F: 65 }),
  lowRankCase('sliced', 6, { layout: 'sliced' }),
  lowRankCase('transposed', 6, { layout: 'transposed' }),
  ...halfDTypes.map((dtype) => lowRankCase(dtype, 9, { dtype, C: 33 })),
  ...halfDTypes.map((dtype) => lowRankCase(`f32 by ${dtype}`, 9, { C: 70, F: 600 }, dtype)),
  lowRankOverBase('9 rows', 9),
  ...halfDTypes.map((dtype) => lowRankOverBase(dtype, 70, { dtype, C: 33, F: 130 })),
  lowRankOverBase('finite differences', 3, { C: 2, F: 3, gradients: 'differences' }),
  lowRankCase('finite differences', 3, { C: 2, F: 3, gradients: 'differences' }),
];
