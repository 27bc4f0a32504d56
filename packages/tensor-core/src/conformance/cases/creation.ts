import { defineCase } from '../case.js';
import { everyDType, floatDTypes } from './shared.js';

const randomShapes = [[], [0], [1], [5], [4, 6], [1027]];
const seeds: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [4294967295, 4294967295],
  [0xa4093822, 0x299f31d0],
];

export const creationCases = [
  ...everyDType.map((dtype) => defineCase('fill', dtype, [], { shape: [3, 5], dtype, value: 1 })),
  ...[[], [0], [2, 0], [1030]].map((shape) =>
    defineCase('fill', `shape [${shape}]`, [], { shape, dtype: 'f32', value: -2.5 }),
  ),
  ...[Number.NaN, Number.POSITIVE_INFINITY, 1e-40, 0.1].map((value) =>
    defineCase('fill', `value ${value}`, [], { shape: [9], dtype: 'f32', value }),
  ),
  defineCase('fill', 'bf16 rounds', [], { shape: [9], dtype: 'bf16', value: 0.1 }),
  ...[0, 1, 7, 1000].map((count) =>
    defineCase('arange', `${count} i32`, [], { start: 0, step: 1, count, dtype: 'i32' }),
  ),
  defineCase('arange', 'i32 backwards', [], { start: 10, step: -3, count: 9, dtype: 'i32' }),
  defineCase('arange', 'f32', [], { start: -1, step: 0.25, count: 33, dtype: 'f32' }),
  ...(['randomUniform', 'randomNormal'] as const).flatMap((op) => [
    ...randomShapes.map((shape) =>
      defineCase(op, `shape [${shape}]`, [], { shape, dtype: 'f32', seed: [7, 3], counter: 0 }),
    ),
    ...seeds.map((seed) =>
      defineCase(op, `seed ${seed}`, [], { shape: [64], dtype: 'f32', seed, counter: 0 }),
    ),
    ...[1, 1000, 2 ** 32 - 3, 2 ** 40].map((counter) =>
      defineCase(op, `counter ${counter}`, [], { shape: [37], dtype: 'f32', seed: [1, 2], counter }),
    ),
    ...floatDTypes.map((dtype) =>
      defineCase(op, dtype, [], { shape: [50], dtype, seed: [5, 0], counter: 2 }),
    ),
  ]),
];
