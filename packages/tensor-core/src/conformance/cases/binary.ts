import type { OpName } from '../../ops/specs.js';
import {
  type ConformanceCase,
  defineCase,
  distinct,
  input,
  integers,
  type Layout,
  list,
  uniform,
  type ValueRange,
} from '../case.js';
import { edges, everyDType, floatDTypes, integerEdges } from './shared.js';

type BinaryOp = Extract<
  OpName,
  'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual'
>;
const ops: readonly BinaryOp[] = [
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'maximum',
  'minimum',
  'equal',
  'less',
  'lessEqual',
];
const integerOps = ops.filter((op) => op !== 'div' && op !== 'pow');
const comparisons = ['equal', 'less', 'lessEqual'] as const;

const shapes: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []],
  [[0], [0]],
  [[0], [1]],
  [[5], []],
  [[], [2, 3]],
  [[33], [33]],
  [
    [4, 1030],
    [4, 1030],
  ],
  [[2, 3, 5], [5]],
  [
    [2, 3, 5],
    [3, 1],
  ],
  [
    [2, 1, 5],
    [3, 1],
  ],
  [
    [1, 4],
    [3, 1],
  ],
  [
    [7, 1, 1],
    [1, 2, 9],
  ],
  [
    [3, 0],
    [1, 0],
  ],
  [
    [6, 65],
    [6, 1],
  ],
];

function left(op: BinaryOp): ValueRange {
  return op === 'pow' ? uniform(0.3, 3) : uniform(-2, 2);
}

function right(op: BinaryOp): ValueRange {
  return op === 'div' ? uniform(0.4, 3) : uniform(-2, 2);
}

function casesOf(op: BinaryOp): ConformanceCase[] {
  const pair = (
    a: readonly number[],
    b: readonly number[],
    layoutA: Layout = 'plain',
    layoutB: Layout = 'plain',
  ) => [input(a, { values: left(op), layout: layoutA }), input(b, { values: right(op), layout: layoutB })];
  return [
    ...shapes.map(([a, b]) => defineCase(op, `[${a}] and [${b}]`, pair(a, b), {})),
    defineCase(op, 'views', pair([4, 6], [4, 6], 'transposed', 'sliced'), {}),
    defineCase(op, 'offset and expanded', pair([4, 6], [4, 6], 'offset', 'expanded'), {}),
    ...floatDTypes.map((dtype) =>
      defineCase(
        op,
        dtype,
        [input([5, 9], { dtype, values: left(op) }), input([9], { dtype, values: right(op) })],
        {},
      ),
    ),
  ];
}

/** Every edge value against every other. */
function edgePairs(op: BinaryOp): ConformanceCase[] {
  const count = edges.kind === 'list' ? edges.list.length : 0;
  return floatDTypes.map((dtype) =>
    defineCase(
      op,
      `edges ${dtype}`,
      [input([count, 1], { dtype, values: edges }), input([1, count], { dtype, values: edges })],
      {},
    ),
  );
}

function integerPairs(op: BinaryOp): ConformanceCase[] {
  return [
    defineCase(
      op,
      'i32',
      [
        input([9, 1], { dtype: 'i32', values: integerEdges }),
        input([9], { dtype: 'i32', values: integerEdges }),
      ],
      {},
    ),
    defineCase(
      op,
      'i8',
      [
        input([40], { dtype: 'i8', values: integers(-128, 128) }),
        input([40], { dtype: 'i8', values: integers(-128, 128) }),
      ],
      {},
    ),
  ];
}

const selectables: readonly BinaryOp[] = ['maximum', 'minimum'];

function differences(op: BinaryOp): ConformanceCase {
  // Of one shape the two sides hold different multiples of 0.1, so no pair is closer than the step.
  const values = selectables.includes(op)
    ? [
        input([2, 3], { values: list(0.1, 0.9, -0.5, 1.3, -1.1, 0.6) }),
        input([3], { values: list(0.3, -0.2, 0.35) }),
      ]
    : [input([2, 3], { values: left(op) }), input([3], { values: right(op) })];
  return defineCase(op, 'finite differences', values, {}, { gradients: 'differences' });
}

const powers = [
  input([8, 1], { values: list(0, 1, -1, 2, -2, 0.5, 7, 1e-3) }),
  input([7], { values: list(0, 1, 2, 3, -1, -2, 0.5) }),
];

export const binaryCases = [
  ...ops.flatMap(casesOf),
  ...ops.filter((op) => op !== 'pow').flatMap(edgePairs),
  defineCase('pow', 'integer and zero bases', powers, {}),
  ...selectables.map((op) =>
    defineCase(
      op,
      'ties share the gradient',
      [input([2, 4], { values: list(1, 2, -3, 0) }), input([4], { values: list(1, 0, -3, 2) })],
      {},
      { gradients: true },
    ),
  ),
  ...integerOps.flatMap(integerPairs),
  ...comparisons.flatMap((op) =>
    (['u8', 'bool'] as const).map((dtype) =>
      defineCase(op, dtype, [input([50], { dtype }), input([50], { dtype })], {}),
    ),
  ),
  ...(['add', 'sub', 'mul', 'div', 'pow', 'maximum', 'minimum'] as const).map(differences),

  ...everyDType.map((dtype) =>
    defineCase(
      'where',
      dtype,
      [input([5, 9], { dtype: 'bool' }), input([5, 9], { dtype }), input([9], { dtype })],
      {},
    ),
  ),
  defineCase(
    'where',
    'all three broadcast',
    [input([4, 1, 1], { dtype: 'bool' }), input([3, 1]), input([5])],
    {},
  ),
  defineCase('where', 'scalars', [input([], { dtype: 'bool' }), input([2, 3]), input([])], {}),
  defineCase(
    'where',
    'keeps NaN out',
    [input([80], { dtype: 'bool' }), input([80], { values: edges }), input([])],
    {},
  ),
  defineCase('where', 'empty', [input([0, 3], { dtype: 'bool' }), input([0, 3]), input([3])], {}),
  defineCase(
    'where',
    'views',
    [
      input([4, 6], { dtype: 'bool', layout: 'transposed' }),
      input([4, 6], { layout: 'sliced' }),
      input([4, 6], { layout: 'expanded' }),
    ],
    {},
  ),
  defineCase(
    'where',
    'finite differences',
    [input([2, 3], { dtype: 'bool' }), input([2, 3], { values: distinct }), input([3])],
    {},
    {
      gradients: 'differences',
    },
  ),
];
