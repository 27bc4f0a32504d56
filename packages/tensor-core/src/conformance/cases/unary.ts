import type { OpName } from '../../ops/specs.js';
import {
  type ConformanceCase,
  defineCase,
  distinct,
  input,
  type Layout,
  list,
  uniform,
  type ValueRange,
} from '../case.js';
import { edges, everyDType, floatDTypes, integerEdges, oddShapes } from './shared.js';

type ElementwiseOp = Extract<
  OpName,
  | 'neg'
  | 'abs'
  | 'sign'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'floor'
  | 'isFinite'
>;

/** Where the function is defined and has a gradient. */
const domains: Record<ElementwiseOp, ValueRange> = {
  neg: uniform(-3, 3),
  abs: distinct,
  sign: uniform(-3, 3),
  exp: uniform(-3, 3),
  log: uniform(0.3, 4),
  sqrt: uniform(0.3, 4),
  rsqrt: uniform(0.3, 4),
  sin: uniform(-4, 4),
  cos: uniform(-4, 4),
  tanh: uniform(-2, 2),
  sigmoid: uniform(-4, 4),
  erf: uniform(-2, 2),
  floor: uniform(-9, 9),
  isFinite: uniform(-3, 3),
};

const layouts: readonly Layout[] = ['transposed', 'sliced', 'offset', 'expanded'];
/** Argument reduction of huge angles is not asked for. */
const angles = list(
  0,
  -0,
  1e-40,
  -1e-3,
  3.125,
  -1.57079633,
  100,
  -1000,
  9999.5,
  Number.POSITIVE_INFINITY,
  Number.NaN,
);

function casesOf(op: ElementwiseOp): ConformanceCase[] {
  const values = domains[op];
  return [
    ...oddShapes.map((shape) => defineCase(op, `shape [${shape}]`, [input(shape, { values })], {})),
    ...floatDTypes.map((dtype) => defineCase(op, dtype, [input([6, 11], { dtype, values })], {})),
    ...layouts.map((layout) => defineCase(op, layout, [input([3, 4, 5], { values, layout })], {})),
    ...floatDTypes.map((dtype) =>
      defineCase(
        op,
        `edges ${dtype}`,
        [input([40], { dtype, values: op === 'sin' || op === 'cos' ? angles : edges })],
        {},
      ),
    ),
    defineCase(op, 'finite differences', [input([2, 5], { values })], {}, { gradients: 'differences' }),
  ];
}

export const unaryCases = [
  ...(Object.keys(domains) as ElementwiseOp[]).flatMap(casesOf),
  ...(['neg', 'abs', 'sign'] as const).flatMap((op) => [
    defineCase(op, 'i32', [input([23], { dtype: 'i32', values: integerEdges })], {}),
    defineCase(
      op,
      'i8',
      [input([300], { dtype: 'i8', values: list(...Array.from({ length: 256 }, (_, i) => i - 128)) })],
      {},
    ),
  ]),
  ...(['sin', 'cos'] as const).map((op) =>
    defineCase(op, 'long angles', [input([500], { values: uniform(-1e4, 1e4) })], {}),
  ),
  ...(['exp', 'tanh', 'sigmoid', 'erf'] as const).map((op) =>
    defineCase(op, 'wide range', [input([1000], { values: uniform(-80, 80) })], {}),
  ),
  defineCase('logicalNot', 'bool', [input([3, 7], { dtype: 'bool' })], {}),
  defineCase('logicalNot', 'transposed', [input([3, 7], { dtype: 'bool', layout: 'transposed' })], {}),
  ...everyDType.flatMap((from) =>
    everyDType.map((dtype) =>
      defineCase('cast', `${from} to ${dtype}`, [input([5, 13], { dtype: from })], { dtype }),
    ),
  ),
  ...everyDType.map((dtype) =>
    defineCase('cast', `edges to ${dtype}`, [input([40], { values: edges })], { dtype }),
  ),
  ...everyDType.map((dtype) =>
    defineCase('cast', `i32 edges to ${dtype}`, [input([20], { dtype: 'i32', values: integerEdges })], {
      dtype,
    }),
  ),
  ...(['bf16', 'f16'] as const).map((dtype) =>
    defineCase('cast', `every rounding to ${dtype}`, [input([4000], { values: uniform(-300, 300) })], {
      dtype,
    }),
  ),
  ...(['bf16', 'f16'] as const).map((dtype) =>
    defineCase('cast', `small numbers to ${dtype}`, [input([2000], { values: uniform(-1e-4, 1e-4) })], {
      dtype,
    }),
  ),
  defineCase('cast', 'finite differences', [input([6])], { dtype: 'f32' }, { gradients: 'differences' }),
];
