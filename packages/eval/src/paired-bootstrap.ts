import { ArgumentError } from '@frugal/tensor-core';

/** What two models cost on one document, in any unit, and what it is divided by: bits, and bytes. */
export interface PairedScore {
  readonly first: number;
  readonly second: number;
  readonly weight: number;
}

export interface BootstrapOptions {
  /** Default 0.95. */
  readonly confidence?: number;
  /** Default 10,000. */
  readonly resamples?: number;
  readonly seed?: number;
}

export interface PairedDifference {
  /** Σ first / Σ weight - Σ second / Σ weight. */
  readonly difference: number;
  /** The interval that holds it with `confidence`. */
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
  readonly documents: number;
}

/**
 * How two models differ on the same documents, and how sure that is: documents are drawn anew with replacement, both scores
 * of one together, and the interval holds the middle of the differences so found (Efron 1979; Koehn 2004 for paired
 * systems). @throws ArgumentError for fewer than two documents
 */
export function pairedBootstrap(
  scores: readonly PairedScore[],
  { confidence = 0.95, resamples = 10_000, seed = 0 }: BootstrapOptions = {},
): PairedDifference {
  if (scores.length < 2) {
    throw new ArgumentError({
      where: 'pairedBootstrap',
      what: 'too few documents for an interval',
      got: String(scores.length),
      expected: 'at least 2',
    });
  }
  const next = uniform(seed);
  const draws = Float64Array.from({ length: resamples }, () =>
    differenceOf(Array.from(scores, () => scores[Math.floor(next() * scores.length)])),
  ).sort();
  const quantile = (share: number) =>
    draws[Math.min(resamples - 1, Math.max(0, Math.round(share * (resamples - 1))))];
  const outside = (1 - confidence) / 2;
  return {
    difference: differenceOf(scores),
    low: quantile(outside),
    high: quantile(1 - outside),
    confidence,
    documents: scores.length,
  };
}

function differenceOf(scores: readonly PairedScore[]): number {
  let [difference, weight] = [0, 0];
  for (const score of scores) {
    difference += score.first - score.second;
    weight += score.weight;
  }
  return difference / weight;
}

/** SplitMix32: numbers in [0, 1), the same everywhere. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
