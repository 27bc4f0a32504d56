import type { FloatDType } from '../../dtype.js';
import {
  type ConformanceCase,
  defineCase,
  type InputSpec,
  indices,
  input,
  type Layout,
  list,
  saved,
  uniform,
  type ValueRange,
  vector,
} from '../case.js';
import { halfDTypes } from './shared.js';

interface Logits {
  readonly name: string;
  readonly N: number;
  readonly V: number;
  readonly dtype?: FloatDType;
  readonly layout?: Layout;
  readonly values?: ValueRange;
  /** Default: random targets. */
  readonly targets?: InputSpec;
}

const ignoreIndex = -100;

const problems: readonly Logits[] = [
  { name: 'one row', N: 1, V: 5 },
  { name: 'one token', N: 4, V: 1 },
  { name: 'no rows', N: 0, V: 5 },
  { name: 'small', N: 9, V: 33 },
  { name: 'vocabulary 1000', N: 33, V: 1000 },
  { name: 'vocabulary 4099', N: 3, V: 4099 },
  { name: 'ignored rows', N: 6, V: 40, targets: vector(3, ignoreIndex, 0, 39, ignoreIndex, ignoreIndex) },
  { name: 'all rows ignored', N: 3, V: 40, targets: vector(ignoreIndex, ignoreIndex, ignoreIndex) },
  { name: 'large logits', N: 5, V: 40, values: uniform(-500, 500) },
  { name: 'transposed', N: 6, V: 9, layout: 'transposed' },
  { name: 'sliced', N: 6, V: 9, layout: 'sliced' },
  { name: 'offset', N: 6, V: 9, layout: 'offset' },
  ...halfDTypes.map((dtype) => ({ name: dtype, N: 12, V: 200, dtype })),
];

function logits({ N, V, ...options }: Logits): InputSpec {
  return input([N, V], options);
}

function crossEntropyCases(problem: Logits): ConformanceCase[] {
  const { name, N, V, targets = indices([N], V) } = problem;
  const perRow = input([N]);
  return [
    defineCase('crossEntropy', name, [logits(problem), targets], { ignoreIndex }),
    defineCase(
      'crossEntropyBackward',
      name,
      [perRow, logits(problem), targets, saved('crossEntropy', [1, 2], 1, perRow)],
      { ignoreIndex },
    ),
  ];
}

function klDivergenceCases(problem: Logits, temperature: number): ConformanceCase[] {
  const name = `${problem.name}, temperature ${temperature}`;
  const [student, teacher, perRow] = [
    logits(problem),
    { ...logits(problem), constant: true },
    input([problem.N]),
  ];
  const total = (output: number) => saved('klDivergence', [1, 2], output, perRow);
  return [
    defineCase('klDivergence', name, [student, teacher], { temperature }),
    defineCase('klDivergenceBackward', name, [perRow, student, teacher, total(1), total(2)], { temperature }),
  ];
}

export const lossCases = [
  ...problems.flatMap(crossEntropyCases),
  defineCase('crossEntropy', 'another ignored index', [input([3, 5]), vector(0, 4, 2)], { ignoreIndex: 4 }),
  defineCase(
    'crossEntropy',
    'NaN stays visible',
    [input([2, 4], { values: list(1, Number.NaN, 2, 0, 1, 2, 3, 4) }), vector(0, 1)],
    { ignoreIndex },
  ),
  defineCase(
    'crossEntropy',
    'finite differences',
    [input([3, 4]), vector(1, ignoreIndex, 3)],
    { ignoreIndex },
    { gradients: 'differences' },
  ),
  ...problems.filter(({ targets }) => !targets).flatMap((problem) => klDivergenceCases(problem, 1)),
  ...problems.slice(3, 5).flatMap((problem) => klDivergenceCases(problem, 2.5)),
  defineCase(
    'klDivergence',
    'equal logits',
    [input([3, 40], { values: list(1, 2, 3) }), input([3, 40], { values: list(1, 2, 3), constant: true })],
    { temperature: 1 },
  ),
  defineCase(
    'klDivergence',
    'finite differences',
    [input([2, 4]), input([2, 4], { constant: true })],
    { temperature: 2 },
    { gradients: 'differences' },
  ),
];
