import type { FloatDType } from '../../dtype.js';
import type { LinearAttributes } from '../../ops/specs.js';
import { type ConformanceCase, defineCase, type InputSpec, input, list, uniform } from '../case.js';
import { constant, floatDTypes, halfDTypes } from './shared.js';

const shapes = [
  { name: 'one row', x: [1, 5], N: 7 },
  { name: 'a vector', x: [33], N: 9 },
  { name: 'no rows', x: [0, 4], N: 3 },
  { name: 'batches', x: [2, 3, 17], N: 33 },
  { name: 'many rows', x: [130, 70], N: 65 },
] as const;

/** Rounding to int8 makes a staircase: its gradients are those of other products, which the tests of it look at. */
function productCases(op: 'linear' | 'int8Linear'): ConformanceCase[] {
  const options = { gradients: op === 'linear' };
  return [
    ...shapes.map(({ name, x, N }) =>
      defineCase(op, name, [input(x), input([N, x[x.length - 1]])], {}, options),
    ),
    ...halfDTypes.map((dtype) => {
      const [x, weight] = [input([9, 20], { dtype }), input([6, 20])];
      return defineCase(
        op,
        `${dtype} and f32 weights`,
        [x, weight, { ...weight, dtype, constant: true }],
        { copy: true },
        options,
      );
    }),
    ...epilogueCases(op, options),
  ];
}

/** Bias, activation, scale and residual, alone and together. */
function epilogueCases(op: 'linear' | 'int8Linear', options: { gradients: boolean }): ConformanceCase[] {
  const [x, weight] = [input([12, 20]), input([35, 20], { values: uniform(-0.5, 0.5) })];
  const [bias, residual] = [input([35]), input([12, 35])];
  const one = (name: string, inputs: readonly InputSpec[], attributes: LinearAttributes) =>
    defineCase(op, name, inputs, attributes, options);
  return [
    one('bias', [x, weight, bias], { bias: true }),
    one('residual', [x, weight, residual], { residual: true }),
    one('residual lying apart', [x, weight, { ...residual, layout: 'sliced' as const }], { residual: true }),
    one('scale', [x, weight], { scale: -0.3 }),
    ...(['silu', 'gelu', 'gelu-tanh', 'relu'] as const).flatMap((activation) => [
      one(activation, [x, weight], { activation }),
      one(`${activation} and all else`, [x, weight, bias, residual], {
        bias: true,
        residual: true,
        activation,
        scale: 2.5,
      }),
    ]),
    one('a vector with all', [input([20]), weight, bias, input([35])], {
      bias: true,
      residual: true,
      activation: 'silu',
    }),
    one('many rows with all', [input([130, 70]), input([65, 70]), input([65]), input([130, 65])], {
      bias: true,
      residual: true,
      activation: 'relu',
    }),
    one('transposed batches', [input([3, 12, 20], { layout: 'transposed' }), weight, bias], { bias: true }),
    ...halfDTypes.map((dtype) =>
      one(
        `${dtype} with all`,
        [{ ...x, dtype }, weight, { ...weight, dtype, constant: true }, bias, { ...residual, dtype }],
        { copy: true, bias: true, residual: true, activation: 'gelu', scale: 0.5 },
      ),
    ),
  ];
}

function quantizeCase(name: string, spec: InputSpec, axis: 'rows' | 'columns'): ConformanceCase {
  return defineCase('quantizeInt8', `${name}, ${axis}`, [spec], { axis });
}

function int8Case(name: string, [M, K, N]: readonly number[], output: FloatDType = 'f32'): ConformanceCase {
  const codes = (rows: number) =>
    input([rows, K], { dtype: 'i8', values: { kind: 'integers', low: -127, high: 128 } });
  const scales = (rows: number) => input([rows], { values: uniform(0, 0.1), constant: true });
  return defineCase('int8Matmul', name, [codes(M), scales(M), codes(N), scales(N)], { output });
}

export const linearCases = [
  ...productCases('linear'),
  defineCase(
    'linear',
    'finite differences',
    [input([3, 5]), input([4, 5])],
    {},
    { gradients: 'differences' },
  ),
  defineCase(
    'linear',
    'finite differences with all',
    [input([3, 5]), input([4, 5]), input([4]), input([3, 4])],
    { bias: true, residual: true, activation: 'silu', scale: 1.5 },
    { gradients: 'differences' },
  ),
  ...productCases('int8Linear'),
  ...(['rows', 'columns'] as const).flatMap((axis) => [
    ...[
      [1, 1],
      [3, 5],
      [0, 4],
      [70, 33],
      [5, 300],
    ].map((shape) => quantizeCase(`[${shape}]`, input(shape), axis)),
    ...floatDTypes.map((dtype) => quantizeCase(dtype, input([9, 40], { dtype }), axis)),
    quantizeCase('zeros', input([3, 20], constant({ values: list(0) })), axis),
    quantizeCase('one large value', input([4, 4], constant({ values: list(1e30, 1, 2, 0) })), axis),
    quantizeCase('transposed', input([6, 9], { layout: 'transposed' }), axis),
    quantizeCase('sliced', input([6, 9], { layout: 'sliced' }), axis),
  ]),
  ...[
    [1, 5, 3],
    [33, 200, 70],
    [5, 64, 300],
    [4, 2048, 6],
    [0, 5, 3],
    [3, 0, 4],
  ].map(([M, K, N]) => int8Case(`${M} × ${K} × ${N}`, [M, K, N])),
  ...halfDTypes.map((output) => int8Case(output, [9, 100, 20], output)),
];
