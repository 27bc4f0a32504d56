import { defineCase, input, uniform } from '../case.js';
import { edges, floatDTypes, oddShapes } from './shared.js';

const layouts = ['transposed', 'sliced', 'offset', 'expanded'] as const;
const gates = ['silu', 'gelu', 'gelu-tanh', 'relu'] as const;
const wide = uniform(-20, 20);

const single = [
  { op: 'silu', attributes: {}, name: '' },
  { op: 'gelu', attributes: { approximate: 'none' }, name: 'exact ' },
  { op: 'gelu', attributes: { approximate: 'tanh' }, name: 'tanh ' },
] as const;

export const activationCases = [
  ...single.flatMap(({ op, attributes, name }) => [
    ...oddShapes.map((shape) => defineCase(op, `${name}[${shape}]`, [input(shape)], attributes)),
    ...layouts.map((layout) => defineCase(op, `${name}${layout}`, [input([4, 6], { layout })], attributes)),
    ...floatDTypes.map((dtype) => defineCase(op, `${name}${dtype}`, [input([300], { dtype })], attributes)),
    defineCase(op, `${name}wide range`, [input([500], { values: wide })], attributes),
    defineCase(op, `${name}finite differences`, [input([2, 4])], attributes, { gradients: 'differences' }),
  ]),
  ...gates.flatMap((activation) => [
    ...oddShapes.map((shape) =>
      defineCase('swiglu', `${activation} [${shape}]`, [input(shape), input(shape)], { activation }),
    ),
    ...floatDTypes.map((dtype) =>
      defineCase('swiglu', `${activation} ${dtype}`, [input([9, 40], { dtype }), input([9, 40], { dtype })], {
        activation,
      }),
    ),
    defineCase(
      'swiglu',
      `${activation} views`,
      [input([4, 6], { layout: 'transposed' }), input([4, 6], { layout: 'sliced' })],
      { activation },
    ),
    defineCase('swiglu', `${activation} wide range`, [input([500], { values: wide }), input([500])], {
      activation,
    }),
    defineCase(
      'swiglu',
      `${activation} finite differences`,
      [input([2, 3], { values: uniform(0.2, 2) }), input([2, 3])],
      { activation },
      {
        gradients: 'differences',
      },
    ),
    ...floatDTypes.map((dtype) =>
      defineCase(
        'swigluBackward',
        `${activation} ${dtype}`,
        [input([9, 40], { dtype }), input([9, 40], { dtype }), input([9, 40], { dtype })],
        { activation },
      ),
    ),
    defineCase(
      'swigluBackward',
      `${activation} views`,
      [
        input([4, 6], { layout: 'expanded' }),
        input([4, 6], { layout: 'transposed' }),
        input([4, 6], { layout: 'sliced' }),
      ],
      { activation },
    ),
    defineCase(
      'swigluBackward',
      `${activation} wide range`,
      [input([500]), input([500], { values: wide }), input([500])],
      { activation },
    ),
  ]),
  // Gates of 0, ±∞ and NaN; `up` is finite.
  defineCase(
    'swiglu',
    'relu of edge values',
    [input([40], { values: edges }), input([40], { values: uniform(0.5, 1) })],
    { activation: 'relu' },
  ),
];
