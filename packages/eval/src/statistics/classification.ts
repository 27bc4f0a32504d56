import { ArgumentError } from '@frugal/tensor-core';

/** How well predicted classes agree with the true ones. */
export interface ClassificationMetrics {
  readonly accuracy: number;
  /** Mean of the classes' F1; a class that neither occurs nor is predicted does not count. */
  readonly macroF1: number;
  readonly perClass: readonly {
    readonly precision: number;
    readonly recall: number;
    readonly f1: number;
    readonly items: number;
  }[];
  /** confusion[true class][predicted class]. */
  readonly confusion: readonly (readonly number[])[];
}

/**
 * `truth` and `predicted` hold class numbers from 0.
 * @throws ArgumentError when there are none, or not as many of one as of the other, or a number is no class
 */
export function classificationMetrics(
  truth: readonly number[],
  predicted: readonly number[],
  classes = 1 + Math.max(largest(truth), largest(predicted)),
): ClassificationMetrics {
  const where = 'classificationMetrics';
  requirePairs(where, truth.length, predicted.length);
  const isClass = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
  for (const labels of [truth, predicted]) {
    const strange = labels.find((label) => !isClass(label));
    if (strange === undefined) continue;
    const expected = `whole numbers from 0 to ${classes - 1}`;
    throw new ArgumentError({ where, what: 'a label is no class', got: String(strange), expected });
  }
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  truth.forEach((label, i) => {
    confusion[label][predicted[i]]++;
  });
  const perClass = confusion.map((row, label) => {
    const items = row.reduce((sum, count) => sum + count, 0);
    const claimed = confusion.reduce((sum, other) => sum + other[label], 0);
    const hits = row[label];
    return {
      precision: claimed > 0 ? hits / claimed : 0,
      recall: items > 0 ? hits / items : 0,
      f1: items + claimed > 0 ? (2 * hits) / (items + claimed) : 0,
      items,
    };
  });
  const seen = perClass.filter(({ items }, label) => items > 0 || confusion.some((row) => row[label] > 0));
  return {
    accuracy: truth.filter((label, i) => label === predicted[i]).length / truth.length,
    macroF1: seen.reduce((sum, { f1 }) => sum + f1, 0) / seen.length,
    perClass,
    confusion,
  };
}

/** A softmax in f32 may exceed 1 by this. */
const ROUNDING = 1e-5;

/** Lists may be longer than a call can have arguments. */
function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function requirePairs(where: string, first: number, second: number): void {
  if (first === second && first > 0) return;
  const got = `${first} and ${second}`;
  throw new ArgumentError({
    where,
    what: 'the lists do not fit',
    got,
    expected: 'as many of both, at least 1',
  });
}

/** Confidence against outcome, in bins of equal width. */
export interface Calibration {
  /** Σ share of items in a bin · |mean confidence - accuracy| (Guo et al. 2017, arXiv:1706.04599). */
  readonly expectedError: number;
  readonly bins: readonly {
    readonly confidence: number;
    readonly accuracy: number;
    readonly items: number;
  }[];
}

/**
 * `confidence` is the probability that a model gave to what it predicted, 0 to 1.
 * @throws ArgumentError for other numbers, none, or lists of different lengths
 */
export function calibrationOf(
  confidence: readonly number[],
  correct: readonly boolean[],
  bins = 10,
): Calibration {
  const where = 'calibrationOf';
  requirePairs(where, confidence.length, correct.length);
  const strange = confidence.find((value) => !(value >= 0 && value <= 1 + ROUNDING));
  if (strange !== undefined)
    throw new ArgumentError({ where, what: 'a confidence', got: String(strange), expected: '0 to 1' });
  const sums = Array.from({ length: bins }, () => ({ confidence: 0, hits: 0, items: 0 }));
  confidence.forEach((value, i) => {
    const bin = sums[Math.min(bins - 1, Math.floor(value * bins))];
    bin.confidence += value;
    bin.hits += Number(correct[i]);
    bin.items++;
  });
  return {
    expectedError:
      sums.reduce((sum, bin) => sum + Math.abs(bin.confidence - bin.hits), 0) / confidence.length,
    bins: sums.map(({ confidence: sum, hits, items }) => ({
      confidence: items > 0 ? sum / items : Number.NaN,
      accuracy: items > 0 ? hits / items : Number.NaN,
      items,
    })),
  };
}
