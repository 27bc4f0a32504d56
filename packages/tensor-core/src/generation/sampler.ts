import { ArgumentError, type Tensor, tensor } from '../index.js';
import type { TokenConstraint } from './constraint.js';
import { type Logprobs, logprobsOf } from './logprobs.js';
import { changesLogits, checkPenalties, type PenaltyOptions, TokenHistory } from './penalties.js';
import {
  checkSampling,
  type SamplingOptions,
  type SamplingRequest,
  sampleRows,
  sampleToken,
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

  /** Whether it needs the logits themselves; else tokens can be chosen where the logits are, as `draw` says. */
  get needsLogits(): boolean {
    return this.options.constraint !== undefined || this.changesLogits;
  }

  /**
   * Of a constraint that does no more than strike out tokens before the most likely one is taken: then the most likely one that it
   * allows can be found without striking out any.
   */
  get allows(): ((token: number) => boolean) | undefined {
    const { constraint, temperature = 0 } = this.options;
    if (!constraint || temperature !== 0 || this.changesLogits) return undefined;
    return (token) => constraint.allows(token);
  }

  private get changesLogits(): boolean {
    return this.options.logprobs !== undefined || changesLogits(this.options);
  }

  /** For `sampleTokens`: how the token after `ahead` more ones is chosen. */
  draw(ahead = 0): SamplingRequest {
    return { options: this.options, index: this.chosen + ahead };
  }

  /** Makes logits [V] of the model, in place, those that the next token is chosen from. */
  prepare(logits: Float32Array): void {
    this.own = this.options.logprobs === undefined ? null : logits.slice();
    this.history.penalize(logits, this.options);
    this.options.constraint?.restrict(logits);
  }

  /**
   * The next token, from now on part of the text: chosen from prepared logits, or from logits of the model.
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

  private choose(logits: Float32Array): number {
    this.prepare(logits);
    return sampleToken(logits, this.options, this.chosen);
  }
}

/** How the token of a row is chosen. */
export interface RowChoice {
  readonly draw: SamplingRequest;
  /** What to do with the logits before, if anything: change them, or leave them for whoever takes them. */
  readonly edit?: ((logits: Float32Array) => void) | 'leave' | undefined;
  /** The token is the most likely one of those that this allows: `edit` is only needed where that is none of the first few. */
  readonly allows?: ((token: number) => boolean) | undefined;
}

/** So many of the most likely tokens are tried before all forbidden ones are struck out. */
const MOST_TRIED = 16;

/**
 * Chooses a token from each row of logits f32 [M, V]. Where nobody needs the logits they stay on their backend and only M
 * numbers come back. Rows come back themselves where they are to be left, and where they are broken, so that only their own
 * text ends.
 */
export async function chooseRows(
  logits: Tensor,
  choices: readonly RowChoice[],
): Promise<readonly (number | Float32Array)[]> {
  const draws = choices.map(({ draw }) => draw);
  const chosen = new Map<number, number>();
  if (choices.every(({ edit, allows }) => edit === undefined || allows)) {
    const ids = await sampleRows(logits, draws);
    ids.forEach((id, row) => {
      if (id >= 0 && isAllowed(choices[row], id)) chosen.set(row, id);
    });
    if (chosen.size === choices.length) return ids;
  }
  const values = await logits.toFloat32();
  const V = logits.shape[1];
  const rowOf = (row: number) => values.subarray(row * V, (row + 1) * V);
  const failed = new Set<number>();
  choices.forEach((choice, row) => {
    if (chosen.has(row)) return;
    const likely = choice.allows && mostLikelyAllowed(rowOf(row), choice);
    if (likely !== undefined) chosen.set(row, likely);
    else if (typeof choice.edit === 'function' && !edited(choice.edit, rowOf(row))) failed.add(row);
  });
  const open = choices.map((_, row) => row).filter((row) => !chosen.has(row));
  if (open.length > 0) {
    const rows = open.length === choices.length ? values : joined(open.map(rowOf));
    const left = tensor(rows, { shape: [open.length, V], backend: logits.backend });
    const ids = await sampleRows(
      left,
      open.map((row) => draws[row]),
    ).finally(() => left.dispose());
    open.forEach((row, i) => void chosen.set(row, ids[i]));
  }
  return choices.map(({ edit }, row) => {
    const id = chosen.get(row) as number;
    return edit === 'leave' || failed.has(row) || id < 0 ? rowOf(row) : id;
  });
}

/** A check that fails says no: its text alone fails, when its row is edited again. */
function isAllowed({ allows }: RowChoice, id: number): boolean {
  try {
    return allows?.(id) ?? true;
  } catch {
    return false;
  }
}

function mostLikelyAllowed(logits: Float32Array, choice: RowChoice): number | undefined {
  if (Number.isNaN(logits[0])) return undefined;
  for (const id of mostLikely(logits, MOST_TRIED)) {
    if (logits[id] === Number.POSITIVE_INFINITY) return undefined;
    if (isAllowed(choice, id)) return id;
  }
  return undefined;
}

/** Indices of the largest values, in their order, the first ones of equal ones first; at most `count`, none of -∞ or NaN. */
function mostLikely(values: Float32Array, count: number): Int32Array {
  const ids = new Int32Array(count);
  let found = 0;
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > least)) continue;
    let at = found < count ? found++ : count - 1;
    for (; at > 0 && values[ids[at - 1]] < value; at--) ids[at] = ids[at - 1];
    ids[at] = i;
    if (found === count) least = values[ids[count - 1]];
  }
  return ids.subarray(0, found);
}

/** Whether the edit went well. */
function edited(edit: (logits: Float32Array) => void, logits: Float32Array): boolean {
  try {
    edit(logits);
    return true;
  } catch {
    return false;
  }
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, i) => void all.set(row, i * row.length));
  return all;
}
