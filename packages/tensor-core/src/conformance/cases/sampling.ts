import { type ConformanceCase, defineCase, input, list, uniform, type ValueRange } from '../case.js';

const M = 12;

/** Rows of [temperature, top k, top p, min p, uniform number], the last one different in each row. */
function settings(temperature: number, topK = 0, topP = 1, minP = 0) {
  const rows = Array.from({ length: M }, (_, i) => [
    temperature,
    topK,
    topP,
    minP,
    (i * 0.618034 + 0.05) % 1,
  ]);
  return input([M, 5], { values: list(...rows.flat()), constant: true });
}

function sampled(
  name: string,
  rows: ReturnType<typeof settings>,
  V = 517,
  values: ValueRange = uniform(-8, 8),
): ConformanceCase {
  return defineCase('sample', name, [input([M, V], { values, constant: true }), rows], {});
}

const infinity = Number.POSITIVE_INFINITY;

export const samplingCases: readonly ConformanceCase[] = [
  sampled('greedy', settings(0)),
  sampled('everything', settings(1)),
  sampled('cold', settings(0.2)),
  sampled('hot', settings(30)),
  sampled('one token', settings(1), 1),
  sampled('top k', settings(2, 7)),
  sampled('top k of more than there are', settings(1, 1000), 33),
  sampled('top p', settings(1, 0, 0.9)),
  sampled('top p of a flat distribution', settings(1, 0, 0.5), 1000, uniform(-0.1, 0.1)),
  sampled('min p', settings(1.5, 0, 1, 0.2)),
  sampled('all three', settings(1.3, 40, 0.8, 0.05)),
  sampled('large vocabulary', settings(0.8, 50, 0.95), 5003),
  sampled('ties are kept by id', settings(1, 5, 0.7), 40, list(1, 3, 2, 3, 0, 3, 1, 3, 3, 2)),
  sampled('forbidden tokens', settings(1), 26, list(-infinity, 0, 1, -infinity)),
  sampled('broken rows', settings(1, 4), 2, list(Number.NaN, 1, 0, infinity, -infinity, -infinity, 1, 0)),
  sampled('broken rows, greedy', settings(0), 2, list(1, Number.NaN, infinity, 0, -infinity, 2)),
];
