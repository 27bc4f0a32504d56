import {
  type ConformanceCase,
  defineCase,
  distinct,
  indices,
  input,
  integers,
  list,
  vector,
} from '../case.js';
import { everyDType, floatDTypes, halfDTypes } from './shared.js';

const gathers = [
  ...everyDType.map((dtype) =>
    defineCase('gatherRows', dtype, [input([7, 5], { dtype }), indices([4], 7)], {}),
  ),
  defineCase('gatherRows', 'scalar index', [input([7, 5]), indices([], 7)], {}),
  defineCase('gatherRows', 'no index', [input([7, 5]), indices([0], 7)], {}),
  defineCase('gatherRows', 'table of one axis', [input([9]), indices([2, 3], 9)], {}),
  defineCase('gatherRows', 'many axes', [input([6, 2, 3]), indices([2, 4], 6)], {}),
  defineCase(
    'gatherRows',
    'views',
    [input([7, 5], { layout: 'transposed' }), indices([3, 4], 7, 'transposed')],
    {},
  ),
  defineCase('gatherRows', 'embedding', [input([1000, 65]), indices([300], 1000)], {}),
  defineCase(
    'gatherRows',
    'finite differences',
    [input([3, 2]), vector(2, 0, 2)],
    {},
    { gradients: 'differences' },
  ),

  ...halfDTypes.map((dtype) =>
    defineCase('scatterAddRows', dtype, [indices([40], 5), input([40, 6], { dtype })], { rows: 5 }),
  ),
  defineCase('scatterAddRows', 'i32', [indices([40], 5), input([40, 6], { dtype: 'i32' })], { rows: 5 }),
  defineCase('scatterAddRows', 'rows of one number', [indices([30], 9), input([30])], { rows: 9 }),
  defineCase('scatterAddRows', 'nothing to add', [indices([0], 4), input([0, 3])], { rows: 4 }),
  defineCase('scatterAddRows', 'all to one row', [indices([500], 1), input([500, 33])], { rows: 1 }),
  defineCase('scatterAddRows', 'views', [indices([6], 4), input([6, 5], { layout: 'transposed' })], {
    rows: 4,
  }),
  defineCase('scatterAddRows', 'embedding gradient', [indices([300], 1000), input([300, 65])], {
    rows: 1000,
  }),
  defineCase(
    'scatterAddRows',
    'finite differences',
    [vector(2, 0, 2), input([3, 2])],
    { rows: 4 },
    { gradients: 'differences' },
  ),
];

const alongAxis = [
  ...everyDType.map((dtype) =>
    defineCase('takeAlongAxis', dtype, [input([3, 7], { dtype }), indices([3, 2], 7)], { axis: 1 }),
  ),
  ...[0, 1, 2].map((axis) => {
    const shape = [3, 4, 5].map((n, i) => (i === axis ? 2 : n));
    return defineCase('takeAlongAxis', `axis ${axis}`, [input([3, 4, 5]), indices(shape, 3)], { axis });
  }),
  defineCase('takeAlongAxis', 'nothing', [input([3, 7]), indices([3, 0], 7)], { axis: 1 }),
  defineCase(
    'takeAlongAxis',
    'views',
    [input([4, 6], { layout: 'transposed' }), indices([4, 3], 6, 'sliced')],
    { axis: 1 },
  ),
  defineCase(
    'takeAlongAxis',
    'finite differences',
    [input([2, 3]), indices([2, 2], 3)],
    { axis: 1 },
    { gradients: 'differences' },
  ),

  ...halfDTypes.map((dtype) =>
    defineCase('scatterAddAlongAxis', dtype, [indices([3, 20], 4), input([3, 20], { dtype })], {
      axis: 1,
      size: 4,
    }),
  ),
  ...[0, 1, 2].map((axis) =>
    defineCase('scatterAddAlongAxis', `axis ${axis}`, [indices([3, 4, 5], 2), input([3, 4, 5])], {
      axis,
      size: 2,
    }),
  ),
  defineCase('scatterAddAlongAxis', 'i32', [indices([3, 20], 4), input([3, 20], { dtype: 'i32' })], {
    axis: 1,
    size: 4,
  }),
  defineCase(
    'scatterAddAlongAxis',
    'views',
    [indices([4, 6], 3, 'transposed'), input([4, 6], { layout: 'sliced' })],
    { axis: 1, size: 3 },
  ),
  defineCase(
    'scatterAddAlongAxis',
    'finite differences',
    [indices([2, 3], 4), input([2, 3])],
    { axis: 1, size: 4 },
    { gradients: 'differences' },
  ),
];

const ties = list(1, 3, 2, 3, 0, 3, 1);
const notANumber = list(
  1,
  Number.NaN,
  3,
  -2,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -0,
  0,
);

function orderingCases(op: 'topK' | 'sort'): ConformanceCase[] {
  const make = (name: string, spec: Parameters<typeof input>, k: number, options = {}) =>
    op === 'topK'
      ? [defineCase(op, `${name}, k = ${k}`, [input(...spec)], { k }, options)]
      : [false, true].map((descending) =>
          defineCase(
            op,
            `${name}${descending ? ', descending' : ''}`,
            [input(...spec)],
            { descending },
            options,
          ),
        );
  return [
    ...floatDTypes.flatMap((dtype) => make(dtype, [[4, 50], { dtype }], 5)),
    ...(['i32', 'i8', 'u8'] as const).flatMap((dtype) => make(dtype, [[4, 50], { dtype }], 3)),
    ...make('ties', [[3, 21], { values: ties }], 9, { gradients: false }),
    ...make('NaN is the largest', [[2, 9], { values: notANumber }], 9),
    ...make('one', [[5, 1]], 1),
    ...make('one axis', [[40]], 40),
    ...make('no rows', [[0, 4]], 2),
    ...make('vocabulary', [[3, 1000], { values: integers(-300, 300) }], 40),
    ...make('transposed', [[6, 9], { layout: 'transposed' }], 4),
    ...make('finite differences', [[2, 5], { values: distinct }], 3, { gradients: 'differences' }),
  ];
}

const mutations = [
  ...everyDType.map((dtype) =>
    defineCase(
      'assign',
      dtype,
      [input([3, 5], { dtype, constant: true }), input([3, 5], { dtype, constant: true })],
      {},
    ),
  ),
  defineCase('assign', 'scalar', [input([], { constant: true }), input([], { constant: true })], {}),
  defineCase('assign', 'nothing', [input([0, 2], { constant: true }), input([0, 2], { constant: true })], {}),
  defineCase(
    'assign',
    'into an offset tensor',
    [input([4, 5], { layout: 'offset', constant: true }), input([4, 5], { constant: true })],
    {},
  ),
  defineCase(
    'assign',
    'from a transposed one',
    [input([4, 5], { constant: true }), input([4, 5], { layout: 'transposed', constant: true })],
    {},
  ),
  ...everyDType.map((dtype) =>
    defineCase(
      'writeRows',
      dtype,
      [input([6, 5], { dtype, constant: true }), vector(4, 0, 5), input([3, 5], { dtype, constant: true })],
      {},
    ),
  ),
  ...floatDTypes.flatMap((to) =>
    floatDTypes
      .filter((from) => from !== to)
      .map((from) =>
        defineCase(
          'writeRows',
          `${from} into ${to}`,
          [
            input([6, 21], { dtype: to, constant: true }),
            vector(4, 0, 5),
            input([3, 21], { dtype: from, constant: true }),
          ],
          {},
        ),
      ),
  ),
  ...[1, 7, 16, 33, 64].flatMap((D) =>
    floatDTypes.map((dtype) =>
      defineCase(
        'writeQuantizedRows',
        `${dtype}, vectors of ${D}`,
        [
          input([6, 3, D], { dtype: 'i8' }),
          input([6, 3], { constant: true }),
          vector(4, 0),
          input([2, 3, D], { dtype, constant: true }),
        ],
        {},
      ),
    ),
  ),
  defineCase(
    'writeQuantizedRows',
    'zeros, tiny and large numbers',
    [
      input([4, 6], { dtype: 'i8' }),
      input([4], { constant: true }),
      vector(3, 1, 0),
      input([3, 6], {
        constant: true,
        values: list(0, -0, 1e-31, -1e-32, 0, 0, 1e30, -3e38, 1e3, 0, 1, 2, 1, 2, 4, 8, 127, 0.5),
      }),
    ],
    {},
  ),
  defineCase(
    'writeRows',
    'nothing',
    [input([6, 5], { constant: true }), indices([0], 6), input([0, 5], { constant: true })],
    {},
  ),
  defineCase(
    'writeRows',
    'many axes',
    [input([6, 2, 5], { constant: true }), vector(3, 1), input([2, 2, 5], { constant: true })],
    {},
  ),
  defineCase(
    'writeRows',
    'rows of a view',
    [
      input([6, 4], { layout: 'offset', constant: true }),
      vector(3, 1),
      input([2, 4], { layout: 'transposed', constant: true }),
    ],
    {},
  ),
];

export const indexingCases = [
  ...gathers,
  ...alongAxis,
  ...orderingCases('topK'),
  ...orderingCases('sort'),
  ...mutations,
];
