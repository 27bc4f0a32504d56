import type { FloatDType } from '../../dtype.js';
import type { AttentionAttributes } from '../../ops/specs.js';
import {
  type ConformanceCase,
  defineCase,
  type InputSpec,
  input,
  type Layout,
  saved,
  uniform,
  vector,
} from '../case.js';
import { halfDTypes } from './shared.js';

interface Problem {
  readonly name: string;
  /** Length of each packed sequence. */
  readonly lengths: readonly number[];
  readonly H?: number;
  readonly K?: number;
  readonly D?: number;
  readonly Dv?: number;
  readonly dtype?: FloatDType;
  readonly layout?: Layout;
  readonly attributes?: Partial<AttentionAttributes>;
}

const problems: readonly Problem[] = [
  { name: 'one token', lengths: [1] },
  { name: 'no tokens', lengths: [0] },
  { name: 'one sequence', lengths: [9] },
  { name: 'several sequences', lengths: [3, 5, 1, 4] },
  { name: 'empty sequences', lengths: [0, 3, 0, 0, 4, 0] },
  { name: 'not causal', lengths: [4, 6], attributes: { causal: false } },
  { name: 'grouped heads', lengths: [7, 2], H: 6, K: 2 },
  { name: 'one key head', lengths: [7, 2], H: 4, K: 1 },
  { name: 'Dv smaller than D', lengths: [5, 3], D: 12, Dv: 5 },
  { name: 'Dv larger than D', lengths: [5, 3], D: 5, Dv: 12 },
  { name: 'window of 1', lengths: [5, 3], attributes: { window: 1 } },
  { name: 'window of 3', lengths: [9, 4], attributes: { window: 3 } },
  { name: 'window longer than the sequence', lengths: [5], attributes: { window: 100 } },
  { name: 'window, not causal', lengths: [9, 4], attributes: { window: 3, causal: false } },
  { name: 'soft cap', lengths: [6, 3], attributes: { softCap: 2 } },
  { name: 'soft cap and window', lengths: [12], attributes: { softCap: 1.5, window: 4 } },
  { name: 'large scores', lengths: [9], attributes: { scale: 4 } },
  { name: 'transposed', lengths: [4, 3], layout: 'transposed' },
  { name: 'sliced', lengths: [4, 3], layout: 'sliced' },
  { name: 'bf16', lengths: [20, 5], H: 4, K: 2, D: 16, dtype: 'bf16' },
  { name: 'f16', lengths: [20, 5], H: 4, K: 2, D: 16, dtype: 'f16' },
  // Across the block sizes that kernels like.
  ...[31, 32, 63, 64, 65, 127, 128, 129].map((length) => ({
    name: `${length} tokens`,
    lengths: [length],
    H: 2,
    K: 1,
    D: 16,
  })),
  { name: 'long and short', lengths: [130, 1, 65], H: 4, K: 2, D: 24, Dv: 16 },
  { name: 'long window', lengths: [200], H: 2, K: 1, D: 8, attributes: { window: 70 } },
  { name: 'long, not causal', lengths: [150, 30], H: 2, K: 2, D: 8, attributes: { causal: false } },
];

function starts(lengths: readonly number[]): InputSpec {
  let total = 0;
  return vector(0, ...lengths.map((length) => (total += length)));
}

function attentionCase(problem: Problem, gradients?: 'differences'): ConformanceCase {
  return defineCase('attention', problem.name, attentionInputs(problem), attributesOf(problem), {
    gradients,
  });
}

function attentionInputs({
  lengths,
  H = 2,
  K = 2,
  D = 8,
  Dv = D,
  dtype = 'f32',
  layout = 'plain',
}: Problem): InputSpec[] {
  const N = lengths.reduce((sum, length) => sum + length, 0);
  const [q, k, v] = [
    input([N, H, D], { dtype, layout }),
    input([N, K, D], { dtype, layout }),
    input([N, K, Dv], { dtype, layout }),
  ];
  return [q, k, v, starts(lengths)];
}

function attributesOf({ D = 8, attributes }: Problem): AttentionAttributes {
  return { scale: D ** -0.5, causal: true, ...attributes };
}

function backwardCase(problem: Problem): ConformanceCase {
  const inputs = attentionInputs(problem);
  const [N, H] = inputs[0].shape;
  const output = input([N, H, inputs[2].shape[2]], { dtype: problem.dtype });
  const forward = [1, 2, 3, 4];
  return defineCase(
    'attentionBackward',
    problem.name,
    [
      output,
      ...inputs,
      saved('attention', forward, 0, output),
      saved('attention', forward, 1, input([N, H])),
    ],
    attributesOf(problem),
  );
}

interface CachedProblem {
  readonly name: string;
  readonly pageSize: number;
  /** Of each sequence: tokens in all, and how many of them are queried. */
  readonly sequences: readonly (readonly [length: number, queries: number])[];
  readonly H?: number;
  readonly K?: number;
  readonly D?: number;
  readonly Dv?: number;
  readonly dtype?: FloatDType;
  /** Of keys and values; default as the queries. */
  readonly cacheDType?: FloatDType | 'i8';
  readonly layout?: Layout;
  readonly attributes?: Partial<AttentionAttributes>;
}

const cachedProblems: readonly CachedProblem[] = [
  { name: 'one token', pageSize: 4, sequences: [[1, 1]] },
  {
    name: 'decode',
    pageSize: 4,
    sequences: [
      [7, 1],
      [4, 1],
      [13, 1],
    ],
  },
  { name: 'prefill', pageSize: 4, sequences: [[9, 9]] },
  {
    name: 'chunked prefill with decode',
    pageSize: 4,
    sequences: [
      [11, 5],
      [6, 1],
      [3, 3],
    ],
  },
  {
    name: 'a sequence without queries',
    pageSize: 4,
    sequences: [
      [5, 2],
      [6, 0],
      [3, 1],
    ],
  },
  {
    name: 'pages of one token',
    pageSize: 1,
    sequences: [
      [5, 2],
      [3, 1],
    ],
  },
  {
    name: 'grouped heads',
    pageSize: 8,
    sequences: [
      [20, 3],
      [9, 1],
    ],
    H: 6,
    K: 2,
  },
  {
    name: 'Dv other than D',
    pageSize: 8,
    sequences: [
      [20, 3],
      [9, 1],
    ],
    D: 12,
    Dv: 5,
  },
  {
    name: 'window',
    pageSize: 4,
    sequences: [
      [20, 3],
      [9, 1],
    ],
    attributes: { window: 5 },
  },
  { name: 'soft cap', pageSize: 4, sequences: [[10, 2]], attributes: { softCap: 2 } },
  {
    name: 'long',
    pageSize: 16,
    sequences: [
      [200, 2],
      [65, 1],
      [129, 64],
    ],
    H: 4,
    K: 2,
    D: 16,
  },
  ...halfDTypes.map((dtype) => ({
    name: dtype,
    pageSize: 4,
    sequences: [
      [7, 1],
      [13, 2],
    ] as const,
    dtype,
  })),
  ...(['f32', 'bf16', 'f16'] as const).flatMap((dtype) =>
    (['f32', 'bf16', 'f16', 'i8'] as const)
      .filter((cacheDType) => cacheDType !== dtype)
      .map((cacheDType) => ({
        name: `${dtype} queries over ${cacheDType}`,
        pageSize: 8,
        sequences: [
          [70, 1],
          [13, 13],
        ] as const,
        H: 4,
        K: 2,
        D: 20,
        Dv: 17,
        dtype,
        cacheDType,
      })),
  ),
  {
    name: 'values cut out of something wider',
    pageSize: 4,
    sequences: [
      [30, 1],
      [9, 4],
    ],
    H: 4,
    K: 1,
    D: 24,
    Dv: 16,
    layout: 'sliced',
  },
  {
    name: 'long q8 with a window and a soft cap',
    pageSize: 16,
    sequences: [
      [700, 1],
      [300, 40],
    ],
    H: 2,
    K: 1,
    D: 16,
    cacheDType: 'i8',
    attributes: { window: 280, softCap: 3 },
  },
  ...[1, 15, 16, 17, 255, 256, 257, 512, 513, 1025].map((length) => ({
    name: `decode at ${length}`,
    pageSize: 16,
    sequences: [[length, 1]] as const,
    H: 3,
    K: 1,
    D: 8,
  })),
];

/** Pages are given out from the back, so that sequences do not lie in order. */
function pageTable(
  sequences: CachedProblem['sequences'],
  pageSize: number,
): { table: number[]; width: number; pages: number } {
  const counts = sequences.map(([length]) => Math.ceil(length / pageSize));
  const width = Math.max(...counts);
  let next = counts.reduce((sum, count) => sum + count, 0);
  const pages = next + 1;
  const table = counts.flatMap((count) => Array.from({ length: width }, (_, i) => (i < count ? next-- : 0)));
  return { table, width, pages };
}

function cachedCase(problem: CachedProblem): ConformanceCase {
  const { name, pageSize, sequences, H = 2, K = 2, D = 8, Dv = D, dtype = 'f32' } = problem;
  const { cacheDType = dtype, layout } = problem;
  const { table, width, pages } = pageTable(sequences, pageSize);
  const N = sequences.reduce((sum, [, queries]) => sum + queries, 0);
  const scales = input([pages * pageSize, K], { values: uniform(0.005, 0.02), constant: true });
  return defineCase(
    'cachedAttention',
    name,
    [
      input([N, H, D], { dtype }),
      input([pages * pageSize, K, D], { dtype: cacheDType }),
      input([pages * pageSize, K, Dv], { dtype: cacheDType, layout }),
      starts(sequences.map(([, queries]) => queries)),
      { ...vector(...table), shape: [sequences.length, width] },
      vector(...sequences.map(([length]) => length)),
      ...(cacheDType === 'i8' ? [scales, scales] : []),
    ],
    { scale: D ** -0.5, causal: true, pageSize, ...problem.attributes },
  );
}

/** Small enough for finite differences. */
const differentiated: readonly Problem[] = [
  { name: 'finite differences', lengths: [3, 2], H: 2, K: 1, D: 3, Dv: 2 },
  { name: 'finite differences, not causal', lengths: [3], H: 1, K: 1, D: 3, attributes: { causal: false } },
  {
    name: 'finite differences, window and soft cap',
    lengths: [4],
    H: 1,
    K: 1,
    D: 3,
    attributes: { window: 2, softCap: 1.5 },
  },
];

export const attentionCases = [
  ...problems.map((problem) => attentionCase(problem)),
  ...differentiated.map((problem) => attentionCase(problem, 'differences')),
  ...problems.map(backwardCase),
  ...cachedProblems.map(cachedCase),
];
