import type { SamplingOptions } from './sampling.js';

/** So few tokens are chosen from by reading their logits alone. */
export const FEW = 256;

/** Decides which tokens one text may consist of. Has a state: use it for one text only. */
export interface TokenConstraint {
  /** Nothing may follow: the text is over. */
  readonly isComplete: boolean;
  /**
   * All tokens that may come next, ascending, if they are at most {@link FEW}, else null. `cheap`: null as well where finding them
   * out takes long; the same each time for the same text.
   */
  few(effort: 'cheap' | 'full'): readonly number[] | null;
  /** Forbids tokens that must not come next: sets their logits [V] to -∞. */
  restrict(logits: Float32Array): void;
  /** Whether `restrict` would leave this token alone: cheaper than `restrict` for a few tokens. */
  allows(token: number): boolean;
  /** Takes the token that was chosen. */
  accept(token: number): void;
}

/**
 * How often a token is drawn as if the constraint forbade nothing, before forbidden tokens are struck out. Reading the bytes of
 * one token costs microseconds, finding all allowed ones milliseconds. A token drawn from the distribution p of all tokens and
 * kept if it is in the allowed set A, else drawn again from p restricted to A, has the probability
 * p(t) + (1 - p(A)) p(t) / p(A) = p(t) / p(A): what striking out first gives. That holds where A changes nothing but the total, so
 * not after top k, top p or min p, whose cut depends on A. The most likely token of all is tried as well.
 */
export function freeDraws({ temperature = 0, topK = 0, topP = 1, minP = 0 }: SamplingOptions): number {
  if (temperature === 0) return 1;
  return topK === 0 && topP === 1 && minP === 0 ? 3 : 0;
}

/** A row to choose one of few tokens from: their logits, filled up with -∞ to always the same length. */
export function fewLogits(logits: ArrayLike<number>): Float32Array {
  const row = new Float32Array(FEW).fill(Number.NEGATIVE_INFINITY);
  row.set(logits);
  return row;
}
