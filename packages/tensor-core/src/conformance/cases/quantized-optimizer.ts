import type { FloatDType } from '../../dtype.js';
import { type ConformanceCase, defineCase, type InputSpec, input, integers, list, uniform } from '../case.js';
import { halfDTypes } from './shared.js';

const usual = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, step: 3 };

/** Any ascending map will do here; these are denser near 0, as those of trainers are. */
const signedMap = Array.from({ length: 256 }, (_, i) => Math.sign(i - 127) * ((i - 127) / 128) ** 2);
const unsignedMap = Array.from({ length: 256 }, (_, i) => (i / 255) ** 3);

interface Group {
  readonly shape: readonly number[];
  /** Elements that share a scale. */
  readonly block?: number;
  readonly dtype?: FloatDType;
  readonly copy?: FloatDType;
  /** Gradients of 0: blocks whose scale is 0. */
  readonly still?: boolean;
}

function groupInputs({ shape, block = 16, dtype = 'f32', copy, still = false }: Group): InputSpec[] {
  const size = shape.reduce((product, n) => product * n, 1);
  const blocks = Math.ceil(size / block);
  const codes = input([blocks, block], { dtype: 'u8', values: integers(0, 256) });
  const scales = (high: number) =>
    input([blocks], { constant: true, values: still ? list(0) : uniform(0, high) });
  return [
    input(shape, { constant: true }),
    codes,
    scales(0.1),
    codes,
    scales(0.01),
    input(shape, { constant: true, dtype, ...(still && { values: list(0) }) }),
    ...(copy ? [input(shape, { constant: true, dtype: copy })] : []),
  ];
}

function step(name: string, groups: readonly Group[], { scale = 0.5, finite = 1 } = {}): ConformanceCase {
  const shared = [
    input([], { constant: true, values: list(scale) }),
    input([], { constant: true, values: list(finite) }),
    input([256], { constant: true, values: list(...signedMap) }),
    input([256], { constant: true, values: list(...unsignedMap) }),
  ];
  const attributes = { ...usual, copies: groups[0].copy !== undefined };
  return defineCase('adamw8bit', name, [...groups.flatMap(groupInputs), ...shared], attributes);
}

export const quantizedOptimizerCases = [
  ...[[], [1], [0], [16], [33], [9, 31]].map((shape) => step(`[${shape}]`, [{ shape }])),
  step('blocks of 256', [{ shape: [40, 257], block: 256 }]),
  ...halfDTypes.map((dtype) => step(`${dtype} gradient`, [{ shape: [9, 11], dtype }])),
  ...halfDTypes.map((copy) =>
    step(`${copy} copies`, [
      { shape: [5], copy },
      { shape: [7, 30], copy },
    ]),
  ),
  step('several parameters', [{ shape: [5] }, { shape: [3, 50], block: 64 }, { shape: [0] }]),
  step('many parameters', Array(80).fill({ shape: [3], block: 4 })),
  step('nothing moves: scales are 0', [{ shape: [20], still: true }]),
  step('not finite: nothing changes', [{ shape: [50] }], { finite: 0, scale: Number.NaN }),
];
