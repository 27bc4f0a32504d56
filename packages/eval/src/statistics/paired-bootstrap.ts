import { ArgumentError } from '@frugal/tensor-core';
import { type BootstrapOptions, bootstrapInterval } from './resample.js';

/** What two models cost on one document, in any unit, and what it is divided by: bits, and bytes. */
export interface PairedScore {
  readonly first: number;
  readonly second: number;
  readonly weight: number;
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
  options: BootstrapOptions = {},
): PairedDifference {
  if (scores.length < 2) {
    throw new ArgumentError({
      where: 'pairedBootstrap',
      what: 'too few documents for an interval',
      got: String(scores.length),
      expected: 'at least 2',
    });
  }
  const differences = scores.map(({ first, second }) => first - second);
  const weights = scores.map(({ weight }) => weight);
  const [low, high] = bootstrapInterval(differences, { ...options, weights });
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  return {
    difference: total(differences) / total(weights),
    low,
    high,
    confidence: options.confidence ?? 0.95,
    documents: scores.length,
  };
}
