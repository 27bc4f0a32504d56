import type { FloatDType } from '../../dtype.js';
import { type ConformanceCase, defineCase, input, list, uniform } from '../case.js';
import { floatDTypes, halfDTypes } from './shared.js';

const usual = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, step: 3 };

interface Step {
  readonly shape: readonly number[];
  readonly dtype?: 'f32' | 'bf16' | 'f16';
  readonly scale?: number;
  readonly finite?: number;
  readonly layout?: 'plain' | 'offset';
}

function inputs({ shape, dtype = 'f32', scale = 0.5, finite = 1, layout = 'plain' }: Step) {
  const state = { constant: true, layout } as const;
  return [
    input(shape, state),
    input(shape, { ...state, values: uniform(-0.1, 0.1) }),
    input(shape, { ...state, values: uniform(0, 0.01) }),
    input(shape, { constant: true, dtype, layout: layout === 'offset' ? 'transposed' : 'plain' }),
    input([], { constant: true, values: list(scale) }),
    input([], { constant: true, values: list(finite) }),
  ];
}

/** Several parameters in one call, with copies or without. */
function steps(name: string, groups: readonly Step[], copy?: FloatDType): ConformanceCase {
  const all = groups.map(inputs);
  const factors = all[0].slice(4);
  const lists = all.map((group) => [
    ...group.slice(0, 4),
    ...(copy ? [input(group[0].shape, { dtype: copy, constant: true })] : []),
  ]);
  return defineCase('adamw', name, [...lists.flat(), ...factors], { ...usual, copies: copy !== undefined });
}

function step(name: string, options: Step, attributes: Partial<typeof usual> = {}): ConformanceCase {
  return defineCase('adamw', name, inputs(options), { ...usual, ...attributes });
}

export const optimizerCases = [
  ...[[], [1], [0], [33], [40, 257]].map((shape) => step(`[${shape}]`, { shape })),
  ...floatDTypes.map((dtype) => step(`${dtype} gradient`, { shape: [9, 11], dtype })),
  step('first step', { shape: [50] }, { step: 1 }),
  step('late step', { shape: [50] }, { step: 100000 }),
  step('no decay', { shape: [50] }, { weightDecay: 0 }),
  step('no momentum', { shape: [50] }, { beta1: 0 }),
  step('not finite: nothing changes', { shape: [50], finite: 0, scale: Number.NaN }),
  steps('several parameters', [
    { shape: [5] },
    { shape: [90, 200] },
    { shape: [0] },
    { shape: [3, 3], dtype: 'bf16' },
  ]),
  steps('many parameters', Array(150).fill({ shape: [3] }), 'bf16'),
  ...halfDTypes.map((dtype) => steps(`${dtype} copies`, [{ shape: [5] }, { shape: [40, 257] }], dtype)),
  steps('not finite: no copy changes', [{ shape: [5], finite: 0 }], 'bf16'),
  step('state in the middle of a storage', { shape: [6, 7], layout: 'offset' }),
];
