import type { Tensor } from '../index.js';
import type { SamplingOptions } from './sampling.js';

/**
 * Guesses how a text goes on, so that the model can check several tokens in one step (Leviathan et al. 2022,
 * arXiv:2211.17192). Guesses change the speed, never the text: a guess is taken where it is the token that the model
 * itself chooses there, also when it samples.
 */
export interface Draft {
  /** Names of values that the model's steps shall keep for `observe`, as in `StepBatch.collect`. */
  readonly collect?: ReadonlySet<string> | undefined;
  /** Begins with one text. */
  open(text: DraftText): DraftSequence;
  /** Frees memory. Sequences are closed before. */
  dispose(): void;
}

export interface DraftText {
  readonly prompt: readonly number[];
  /** Of the model that checks the guesses. */
  readonly vocabularySize: number;
  /** Tokens of prompt and answer at most. */
  readonly longest: number;
  /** How tokens are chosen: a draft that chooses alike, with the same draws, guesses best. */
  readonly sampling: SamplingOptions;
}

/** The guesses for one text. */
export interface DraftSequence {
  /** At most `count` tokens that may follow `tokens`: the prompt and the text so far. Fewer, or none, are welcome. */
  propose(tokens: readonly number[], count: number): readonly number[] | Promise<readonly number[]>;
  /** What the model computed for the tokens from `start` on, guesses included; only called with `collect`. */
  observe?(collected: ReadonlyMap<string, Tensor>, start: number): void;
  close(): void;
}
