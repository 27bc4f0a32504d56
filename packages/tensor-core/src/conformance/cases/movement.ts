import { defineCase, input } from '../case.js';
import { everyDType, oddShapes } from './shared.js';

const layouts = ['transposed', 'sliced', 'offset', 'expanded'] as const;

export const movementCases = [
  ...oddShapes.map((shape) => defineCase('copy', `[${shape}]`, [input(shape)], {})),
  ...everyDType.flatMap((dtype) =>
    layouts.map((layout) =>
      defineCase('copy', `${dtype} ${layout}`, [input([3, 4, 5], { dtype, layout })], {}),
    ),
  ),
  defineCase('copy', 'large transposed', [input([130, 257], { layout: 'transposed' })], {}),
  defineCase('copy', 'finite differences', [input([2, 3])], {}, { gradients: 'differences' }),

  ...everyDType.map((dtype) =>
    defineCase('concat', dtype, [input([2, 3], { dtype }), input([4, 3], { dtype })], { axis: 0 }),
  ),
  defineCase('concat', 'one tensor', [input([2, 3])], { axis: 1 }),
  defineCase('concat', 'middle axis', [input([2, 1, 5]), input([2, 0, 5]), input([2, 4, 5])], { axis: 1 }),
  defineCase(
    'concat',
    'last axis, views',
    [input([4, 6], { layout: 'transposed' }), input([4, 2], { layout: 'sliced' })],
    { axis: 1 },
  ),
  defineCase(
    'concat',
    'many',
    Array.from({ length: 9 }, (_, i) => input([3, i + 1])),
    { axis: 1 },
  ),
  defineCase(
    'concat',
    'finite differences',
    [input([2, 2]), input([2, 3])],
    { axis: 1 },
    { gradients: 'differences' },
  ),

  ...everyDType.map((dtype) =>
    defineCase('pad', dtype, [input([2, 3], { dtype })], { before: [1, 0], after: [0, 2], value: 1 }),
  ),
  defineCase('pad', 'nothing', [input([2, 3])], { before: [0, 0], after: [0, 0], value: 9 }),
  defineCase('pad', 'scalar', [input([])], { before: [], after: [], value: 9 }),
  defineCase('pad', 'empty', [input([0, 3])], { before: [2, 1], after: [1, 0], value: -1 }),
  defineCase('pad', 'transposed', [input([3, 4, 5], { layout: 'transposed' })], {
    before: [1, 2, 3],
    after: [3, 2, 1],
    value: 0.5,
  }),
  defineCase(
    'pad',
    'finite differences',
    [input([2, 3])],
    { before: [1, 0], after: [0, 2], value: 0 },
    { gradients: 'differences' },
  ),

  // Views: no kernel runs, but their gradients and what `read` makes of them do.
  ...everyDType.map((dtype) =>
    defineCase('permute', dtype, [input([2, 3, 4], { dtype })], { axes: [2, 0, 1] }),
  ),
  defineCase('permute', 'of a slice', [input([2, 3, 4], { layout: 'sliced' })], { axes: [1, 2, 0] }),
  defineCase(
    'permute',
    'finite differences',
    [input([2, 3])],
    { axes: [1, 0] },
    { gradients: 'differences' },
  ),
  ...everyDType.map((dtype) =>
    defineCase('slice', dtype, [input([4, 5], { dtype })], { starts: [1, 2], sizes: [2, 3] }),
  ),
  defineCase('slice', 'nothing', [input([4, 5])], { starts: [4, 0], sizes: [0, 5] }),
  defineCase('slice', 'of a transposed tensor', [input([4, 5], { layout: 'transposed' })], {
    starts: [1, 2],
    sizes: [2, 2],
  }),
  defineCase(
    'slice',
    'finite differences',
    [input([3, 3])],
    { starts: [1, 0], sizes: [2, 2] },
    { gradients: 'differences' },
  ),
  ...everyDType.map((dtype) => defineCase('expand', dtype, [input([3, 1], { dtype })], { shape: [2, 3, 4] })),
  defineCase('expand', 'scalar', [input([])], { shape: [2, 2] }),
  defineCase('expand', 'to nothing', [input([1, 3])], { shape: [0, 3] }),
  defineCase(
    'expand',
    'finite differences',
    [input([3, 1])],
    { shape: [2, 3, 2] },
    { gradients: 'differences' },
  ),
  ...everyDType.map((dtype) => defineCase('reshape', dtype, [input([2, 6], { dtype })], { shape: [3, 4] })),
  defineCase('reshape', 'of an offset tensor', [input([2, 6], { layout: 'offset' })], { shape: [12] }),
  defineCase('reshape', 'finite differences', [input([2, 3])], { shape: [6] }, { gradients: 'differences' }),
];
