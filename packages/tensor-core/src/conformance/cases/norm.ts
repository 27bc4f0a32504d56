import { defineCase, input, list, uniform } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

const shapes = [[7], [0, 5], [3, 2], [2, 3, 33], [5, 257], [70, 64], [3, 1000]];
const layouts = ['transposed', 'sliced', 'offset', 'expanded'] as const;
const epsilon = 1e-5;

const widthOf = (shape: readonly number[]) => shape.slice(-1);

export const normCases = [
  // The norm of a single column hardly depends on it: its gradient is what rounding leaves of a difference.
  ...[[1], [3, 1]].map((shape) =>
    defineCase('rmsNorm', `[${shape}]`, [input(shape), input([1])], { epsilon }, { gradients: false }),
  ),
  ...shapes.flatMap((shape) => [
    defineCase('rmsNorm', `[${shape}]`, [input(shape), input(widthOf(shape))], { epsilon }),
    defineCase('rmsNormBackward', `[${shape}]`, [input(shape), input(shape), input(widthOf(shape))], {
      epsilon,
    }),
    defineCase('layerNorm', `[${shape}]`, [input(shape), input(widthOf(shape)), input(widthOf(shape))], {
      epsilon,
    }),
    defineCase('addRmsNorm', `[${shape}]`, [input(shape), input(shape), input(widthOf(shape))], { epsilon }),
    defineCase(
      'addRmsNormBackward',
      `[${shape}]`,
      [input(shape), input(shape), input(shape), input(widthOf(shape))],
      { epsilon },
    ),
  ]),
  // Of two columns the gradient is what rounding leaves of a difference.
  ...shapes
    .filter((shape) => shape.at(-1) !== 2)
    .map((shape) =>
      defineCase('layerNormBackward', `[${shape}]`, [input(shape), input(shape), input(widthOf(shape))], {
        epsilon,
      }),
    ),
  ...layouts.flatMap((layout) => [
    defineCase('rmsNorm', layout, [input([4, 6], { layout }), input([6])], { epsilon }),
    defineCase(
      'rmsNormBackward',
      layout,
      [input([4, 6], { layout }), input([4, 6], { layout }), input([6])],
      { epsilon },
    ),
    defineCase('layerNorm', layout, [input([4, 6], { layout }), input([6]), input([6])], { epsilon }),
    defineCase('addRmsNorm', layout, [input([4, 6]), input([4, 6], { layout }), input([6])], { epsilon }),
  ]),
  ...halfDTypes.flatMap((dtype) => {
    const [x, w] = [input([6, 96], { dtype }), input([96], { dtype })];
    return [
      defineCase('rmsNorm', dtype, [x, w], { epsilon }),
      defineCase('rmsNormBackward', dtype, [x, x, w], { epsilon }),
      defineCase('layerNorm', dtype, [x, w, w], { epsilon }),
      defineCase('layerNormBackward', dtype, [x, x, w], { epsilon }),
      defineCase('addRmsNorm', dtype, [x, x, w], { epsilon }),
      defineCase('addRmsNormBackward', dtype, [x, x, x, w], { epsilon }),
    ];
  }),
  ...floatDTypes.map((dtype) =>
    defineCase(
      'rmsNorm',
      `tiny numbers ${dtype}`,
      [input([4, 40], { dtype, values: uniform(-1e-3, 1e-3) }), input([40], { dtype })],
      { epsilon: 1e-6 },
    ),
  ),
  defineCase('rmsNorm', 'zeros', [input([3, 8], { values: list(0) }), input([8])], { epsilon }),
  defineCase('rmsNorm', 'large numbers', [input([3, 80], { values: uniform(-1e8, 1e8) }), input([80])], {
    epsilon,
  }),
  defineCase(
    'layerNorm',
    'far from zero',
    [input([3, 80], { values: uniform(99, 101) }), input([80]), input([80])],
    { epsilon },
    { tolerance: 'linalg' },
  ),
  defineCase(
    'rmsNorm',
    'finite differences',
    [input([2, 4]), input([4])],
    { epsilon },
    { gradients: 'differences' },
  ),
  defineCase(
    'addRmsNorm',
    'finite differences',
    [input([2, 4]), input([2, 4]), input([4])],
    { epsilon },
    { gradients: 'differences' },
  ),
  defineCase(
    'layerNorm',
    'finite differences',
    [input([2, 4]), input([4]), input([4])],
    { epsilon },
    { gradients: 'differences' },
  ),
];
