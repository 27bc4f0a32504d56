import { defineCase, distinct, input, list, uniform } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

const shapes = [[1], [7], [0, 5], [3, 1], [2, 3, 33], [5, 257], [3, 1000], [130, 16]];
const layouts = ['transposed', 'sliced', 'offset', 'expanded'] as const;
const infinite = list(1, Number.NEGATIVE_INFINITY, 2, 0.5, Number.NEGATIVE_INFINITY, -3);

const ties = list(1, 3, 2, 3, 0, 3, 1);

/** [rows, experts], k. */
const routers: readonly (readonly [shape: number[], k: number])[] = [
  [[1, 1], 1],
  [[0, 8], 2],
  [[5, 8], 2],
  [[33, 64], 8],
  [[3, 257], 257],
  [[6], 3],
  [[2, 3, 5], 2],
];

const routing = [
  ...routers.map(([shape, k]) => defineCase('softmaxTopK', `[${shape}], k = ${k}`, [input(shape)], { k })),
  ...layouts.map((layout) => defineCase('softmaxTopK', layout, [input([4, 6], { layout })], { k: 2 })),
  // Equal ones by index: no gradient, since a step to either side chooses others.
  defineCase('softmaxTopK', 'ties', [input([3, 21], { values: ties })], { k: 9 }, { gradients: false }),
  // All but one of each row are 0 as numbers of f32, and chosen by index.
  defineCase(
    'softmaxTopK',
    'vanishing',
    [input([2, 6], { values: list(300, -300, 0, 1) })],
    { k: 3 },
    { gradients: false },
  ),
  defineCase(
    'softmaxTopK',
    'finite differences',
    [input([2, 5], { values: distinct })],
    { k: 2 },
    { gradients: 'differences' },
  ),
];

export const softmaxCases = [
  ...routing,
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
