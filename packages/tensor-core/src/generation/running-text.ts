import type { Tensor } from '../index.js';
import type { RowChoice } from './choose-rows.js';
import type { Draft, DraftSequence } from './draft.js';
import type { GenerationRequest } from './generate-batch.js';
import type { StepPart } from './model-step.js';
import { type ChosenToken, Sampler } from './sampler.js';

export interface RunningTextOptions {
  readonly vocabularySize: number;
  readonly draft?: Draft | undefined;
  /** Guesses per step at most. */
  readonly draftTokens: number;
}

export interface AcceptedToken extends ChosenToken {
  /** Whether the draft had guessed it. */
  readonly guessed: boolean;
}

/** A text while it grows: which tokens are known, computed, guessed. Knows nothing of where the cache keeps them. */
export class RunningText {
  /** Tokens whose keys and values are in the cache and count; less after they were dropped from it. */
  computed = 0;
  private readonly known: number[];
  private guesses: readonly number[] = [];
  /** The tokens of the step at hand. */
  private taken = 0;
  private done = false;
  private readonly sampler: Sampler;
  /** Opened when first needed: a draft may take much memory. */
  private drafting: DraftSequence | undefined;
  /** How many guesses are worth asking for. */
  private depth: number;

  constructor(
    private readonly request: GenerationRequest,
    private readonly options: RunningTextOptions,
  ) {
    this.known = Array.from(request.prompt);
    this.sampler = new Sampler(request, this.known);
    this.depth = Math.min(3, options.draftTokens);
  }

  /** Prompt and text so far, without guesses. */
  get tokens(): readonly number[] {
    return this.known;
  }

  /** How many tokens were chosen. */
  get generated(): number {
    return this.sampler.count;
  }

  /** Whether its constraint lets nothing follow. */
  get isComplete(): boolean {
    return this.sampler.isComplete;
  }

  get isDone(): boolean {
    return this.done || this.request.signal?.aborted === true;
  }

  /** Whether more than one known token has to be computed. */
  get isPrompt(): boolean {
    return this.known.length - this.computed > 1;
  }

  /** Tokens to compute: known ones and guesses. */
  get pending(): number {
    return this.known.length - this.computed + this.guesses.length;
  }

  /** Asks the draft for at most `limit` tokens, unless the prompt is not read yet. */
  async guess(limit = Number.POSITIVE_INFINITY): Promise<void> {
    this.guesses = [];
    if (this.isPrompt) return;
    const count = Math.min(this.depth, limit, this.request.maxTokens - this.sampler.count - 1);
    if (count > 0) this.guesses = (await this.openDraft()?.propose(this.known, count))?.slice(0, count) ?? [];
  }

  /** The cache holds nothing of it any more: all has to be computed again. */
  rewind(): void {
    this.computed = 0;
    this.guesses = [];
    this.close();
  }

  /** The next `count` tokens, of which logits are needed once all known ones are among them. */
  take(count: number): Omit<StepPart, 'sequence'> {
    this.taken = count;
    const all = this.guesses.length > 0 ? [...this.known, ...this.guesses] : this.known;
    const complete = this.computed + count >= this.known.length;
    return {
      tokens: all.slice(this.computed, this.computed + count),
      logits: complete ? this.guesses.length + 1 : 0,
    };
  }

  /** How the tokens of `count` rows are chosen. Each token may change what may follow: only for one row is that known. */
  choices(count: number): RowChoice[] {
    const { sampler } = this;
    const { edit, constraint } = sampler;
    if (count === 1) return [{ draw: sampler.draw(), edit, constraint }];
    const left = edit || constraint ? 'leave' : undefined;
    return Array.from({ length: count }, (_, i) => ({ draw: sampler.draw(i), edit: left }));
  }

  /** Takes the tokens of the step, chosen ones or logits to choose from, as long as guesses prove right. */
  *accept(rows: readonly (number | Float32Array)[]): Generator<AcceptedToken> {
    if (rows.length === 0) {
      this.computed += this.taken;
      return;
    }
    const { maxTokens, stopIds = [], signal } = this.request;
    let right = true;
    let hits = 0;
    for (let i = 0; right && i < rows.length && !this.done && !signal?.aborted; i++) {
      const chosen = this.sampler.accept(rows[i]);
      this.known.push(chosen.id);
      right = this.guesses[i] === chosen.id;
      if (right) hits++;
      this.done = stopIds.includes(chosen.id) || this.isComplete || this.generated >= maxTokens;
      yield { ...chosen, guessed: right };
    }
    // The last token was chosen, not computed.
    this.computed = this.known.length - 1;
    this.adapt(hits);
  }

  observe(collected: ReadonlyMap<string, Tensor>, row: number, count: number): void {
    const drafting = this.openDraft();
    if (!drafting?.observe) return;
    const rows = new Map([...collected].map(([name, tensor]) => [name, tensor.slice(0, row, row + count)]));
    drafting.observe(rows, this.computed);
    for (const tensor of rows.values()) tensor.dispose();
  }

  /** Frees what the draft holds. */
  close(): void {
    this.drafting?.close();
    this.drafting = undefined;
  }

  private openDraft(): DraftSequence | undefined {
    const { draft, vocabularySize } = this.options;
    const { prompt, maxTokens } = this.request;
    this.drafting ??= draft?.open({
      prompt: Array.from(prompt),
      vocabularySize,
      longest: prompt.length + maxTokens,
      sampling: this.request,
    });
    return this.drafting;
  }

  /**
   * All right: twice as many next time. Else about as many as were right. One less than a power of two, so that steps have few
   * shapes, which are recorded soon.
   */
  private adapt(hits: number): void {
    if (this.guesses.length === 0) return;
    const next = hits === this.guesses.length ? 2 * Math.max(this.depth, hits) + 1 : hits + 1;
    this.depth = Math.min(this.options.draftTokens, 2 ** Math.round(Math.log2(next + 1)) - 1);
  }
}
