import { ArgumentError } from '../index.js';
import { fewLogits, freeDraws, type TokenConstraint } from './constraint.js';
import { type Logprobs, logprobsOf } from './logprobs.js';
import { changesLogits, checkPenalties, type PenaltyOptions, TokenHistory } from './penalties.js';
import { checkSampling, type SamplingOptions, type SamplingRequest, sampleToken } from './sampling.js';

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
  /** The logits of the model for the token at hand, where they are reported. */
  private own: Float32Array | null = null;

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

  /** What is done to the logits [V] of the model, in place, before the next token is chosen; undefined: nothing. */
  get edit(): ((logits: Float32Array) => void) | undefined {
    const { logprobs } = this.options;
    if (logprobs === undefined && !changesLogits(this.options)) return undefined;
    return (logits) => {
      this.own = logprobs === undefined ? null : logits.slice();
      this.history.penalize(logits, this.options);
    };
  }

  get constraint(): TokenConstraint | undefined {
    return this.options.constraint;
  }

  /** For `sampleTokens`: how the token after `ahead` more ones is chosen. */
  draw(ahead = 0): SamplingRequest {
    return { options: this.options, index: this.chosen + ahead };
  }

  /**
   * The next token, from now on part of the text: one that was chosen already, or logits of the model to choose from.
   * @throws NonFiniteError when a logit is NaN or +∞, or all are forbidden
   */
  accept(row: number | Float32Array): ChosenToken {
    const id = typeof row === 'number' ? row : this.choose(row.slice());
    const { logprobs, constraint } = this.options;
    this.chosen++;
    this.history.add(id);
    constraint?.accept(id);
    return logprobs === undefined || !this.own
      ? { id }
      : { id, logprobs: logprobsOf(this.own, id, logprobs) };
  }

  /** As `chooseRows` does. */
  private choose(logits: Float32Array): number {
    this.edit?.(logits);
    const { options, constraint, chosen } = this;
    if (!constraint) return sampleToken(logits, options, chosen);
    const of = (ids: readonly number[], attempt: number) =>
      ids[sampleToken(fewLogits(ids.map((id) => logits[id])), options, chosen, attempt)];
    const cheap = constraint.few('cheap');
    if (cheap) return of(cheap, 0);
    const free = freeDraws(options);
    for (let attempt = 0; attempt < free; attempt++) {
      const id = sampleToken(logits, options, chosen, attempt);
      if (constraint.allows(id)) return id;
    }
    const few = constraint.few('full');
    if (few) return of(few, free);
    constraint.restrict(logits);
    return sampleToken(logits, options, chosen, free);
  }
}
