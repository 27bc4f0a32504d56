import { ArgumentError, NonFiniteError, type Tensor } from '../index.js';
import type { TokenConstraint } from './constraint.js';
import { type Logprobs, logprobsOf } from './logprobs.js';
import { changesLogits, checkPenalties, type PenaltyOptions, TokenHistory } from './penalties.js';
import {
  checkSampling,
  type SamplingOptions,
  type SamplingRequest,
  sampleToken,
  sampleTokens,
} from './sampling.js';

export interface SamplerOptions extends SamplingOptions, PenaltyOptions {
  /** Report the log probability of each token, and of this many of the most likely ones. Default: none. */
  readonly logprobs?: number | undefined;
  /** What the text may consist of; belongs to this text alone. */
  readonly constraint?: TokenConstraint | undefined;
}

export interface ChosenToken {
  readonly id: number;
  /** Of the model's own distribution: before penalties, at temperature 1, nothing cut off. */
  readonly logprobs?: Logprobs | undefined;
}

/** @throws ArgumentError naming the option that is out of range */
export function checkSampler(options: SamplerOptions, vocabularySize?: number): void {
  checkSampling(options);
  checkPenalties(options, vocabularySize);
  const { logprobs } = options;
  if (logprobs === undefined || (Number.isSafeInteger(logprobs) && logprobs >= 0)) return;
  throw new ArgumentError({
    where: 'sampling',
    what: 'logprobs out of range',
    got: String(logprobs),
    expected: 'an integer, 0 or more',
  });
}

/** Chooses the tokens of one text, one after the other. */
export class Sampler {
  private readonly history: TokenHistory;
  private chosen = 0;

  constructor(
    private readonly options: SamplerOptions,
    prompt: ArrayLike<number>,
  ) {
    this.history = new TokenHistory(prompt);
  }

  /** How many tokens were chosen. */
  get count(): number {
    return this.chosen;
  }

  /** Whether the constraint lets nothing follow. */
  get isComplete(): boolean {
    return this.options.constraint?.isComplete ?? false;
  }

  /** Whether it needs the logits themselves; else tokens can be chosen where the logits are, as `draw` says. */
  get needsLogits(): boolean {
    const { logprobs, constraint } = this.options;
    return logprobs !== undefined || constraint !== undefined || changesLogits(this.options);
  }

  /** For `sampleTokens`: how the token after `ahead` more ones is chosen. */
  draw(ahead = 0): SamplingRequest {
    return { options: this.options, index: this.chosen + ahead };
  }

  /** The next token, from what `chooseRows` gave. */
  accept(row: number | Float32Array): ChosenToken {
    if (typeof row !== 'number') return this.next(row);
    this.chosen++;
    return { id: row };
  }

  /**
   * The next token from logits [V], and from now on part of the text.
   * @throws NonFiniteError when a logit is NaN or +∞, or all are forbidden
   */
  next(logits: Float32Array): ChosenToken {
    const { logprobs, constraint } = this.options;
    const id = sampleToken(this.changed(logits), this.options, this.chosen++);
    this.history.add(id);
    constraint?.accept(id);
    return logprobs === undefined ? { id } : { id, logprobs: logprobsOf(logits, id, logprobs) };
  }

  /** With penalties, and without what the constraint forbids. */
  private changed(logits: Float32Array): Float32Array {
    const { constraint } = this.options;
    const penalized = this.history.penalize(logits, this.options);
    if (!constraint) return penalized;
    const restricted = penalized === logits ? logits.slice() : penalized;
    constraint.restrict(restricted);
    return restricted;
  }
}

/**
 * Chooses a token from each row of logits f32 [M, V], on their backend, as `draws` say. Where that cannot be the rows
 * themselves come back: with `needsLogits`, as each token then changes what comes after it, and when one is broken, so
 * that only its own text ends.
 */
export async function chooseRows(
  logits: Tensor,
  draws: readonly SamplingRequest[],
  needsLogits: boolean,
): Promise<readonly (number | Float32Array)[]> {
  if (!needsLogits) {
    try {
      return await sampleTokens(logits, draws);
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
    }
  }
  const values = await logits.toFloat32();
  const [count, V] = logits.shape;
  return Array.from({ length: count }, (_, row) => values.subarray(row * V, (row + 1) * V));
}
