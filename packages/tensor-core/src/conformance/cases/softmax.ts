import { defineCase, input, list, uniform } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

const shapes = [[1], [7], [0, 5], [3, 1], [2, 3, 33], [5, 257], [3, 1000], [130, 16]];
const layouts = ['transposed', 'sliced', 'offset', 'expanded'] as const;
const infinite = list(1, Number.NEGATIVE_INFINITY, 2, 0.5, Number.NEGATIVE_INFINITY, -3);

export const softmaxCases = [
  ...(['softmax', 'logSoftmax'] as const).flatMap((op) => [
    ...shapes.map((shape) => defineCase(op, `[${shape}]`, [input(shape)], {})),
    ...layouts.map((layout) => defineCase(op, layout, [input([4, 6], { layout })], {})),
    ...halfDTypes.map((dtype) => defineCase(op, dtype, [input([5, 70], { dtype })], {})),
    defineCase(
      op,
      'large numbers',
      [input([4, 50], { values: uniform(-1e4, 1e4) })],
      {},
      { tolerance: 'linalg', gradients: false },
    ),
    defineCase(op, 'finite differences', [input([2, 4])], {}, { gradients: 'differences' }),
  ]),
  defineCase('softmax', 'masked', [input([3, 6], { values: infinite })], {}),
  ...shapes.map((shape) =>
    defineCase(
      'softmaxBackward',
      `[${shape}]`,
      [input(shape), input(shape, { values: uniform(0, 0.2) })],
      {},
    ),
  ),
  ...floatDTypes.map((dtype) =>
    defineCase(
      'softmaxBackward',
      dtype,
      [input([5, 70], { dtype }), input([5, 70], { dtype, values: uniform(0, 0.03) })],
      {},
    ),
  ),
  defineCase(
    'softmaxBackward',
    'views',
    [input([4, 6], { layout: 'transposed' }), input([4, 6], { layout: 'sliced' })],
    {},
  ),
];
