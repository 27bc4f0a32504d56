import type { Tensor } from '../index.js';
import type { Draft, DraftSequence } from './draft.js';
import type { GeneratedToken, GenerationRequest } from './generate-batch.js';
import type { StepPart } from './model-step.js';
import { Sampler } from './sampler.js';
import type { SamplingRequest } from './sampling.js';

/** A text while it grows: which tokens are known, computed, guessed. */
export class RunningText {
  /** Tokens whose keys and values are in the cache and count. */
  computed = 0;
  private readonly tokens: number[];
  private guesses: readonly number[] = [];
  /** The tokens of the step at hand. */
  private taken = 0;
  private done = false;
  private readonly sampler: Sampler;
  private readonly drafting: DraftSequence | undefined;
  /** How many guesses are worth asking for. */
  private depth: number;

  constructor(
    private readonly index: number,
    private readonly request: GenerationRequest,
    readonly sequence: number,
    vocabularySize: number,
    draft: Draft | undefined,
    private readonly maximumDepth: number,
  ) {
    this.tokens = Array.from(request.prompt);
    this.sampler = new Sampler(request, this.tokens);
    this.depth = Math.min(4, maximumDepth);
    const longest = this.tokens.length + request.maxTokens;
    this.drafting = draft?.open({
      prompt: this.tokens.slice(),
      vocabularySize,
      longest,
      sampling: request,
    });
  }

  get isDone(): boolean {
    return this.done || this.request.signal?.aborted === true;
  }

  /** Whether more than one known token has to be computed. */
  get isPrompt(): boolean {
    return this.tokens.length - this.computed > 1;
  }

  /** Tokens to compute: known ones and guesses. */
  get pending(): number {
    return this.tokens.length - this.computed + this.guesses.length;
  }

  /** Asks the draft, unless the prompt is not read yet. */
  async guess(): Promise<void> {
    this.guesses = [];
    if (!this.drafting || this.isPrompt) return;
    const count = Math.min(this.depth, this.request.maxTokens - this.sampler.count - 1);
    if (count > 0) this.guesses = (await this.drafting.propose(this.tokens, count)).slice(0, count);
  }

  /** The next `count` tokens, of which logits are needed once all known ones are among them. */
  take(count: number): StepPart {
    this.taken = count;
    const all = this.guesses.length > 0 ? [...this.tokens, ...this.guesses] : this.tokens;
    const complete = this.computed + count >= this.tokens.length;
    return {
      sequence: this.sequence,
      tokens: all.slice(this.computed, this.computed + count),
      logits: complete ? this.guesses.length + 1 : 0,
    };
  }

  get needsLogits(): boolean {
    return this.sampler.needsLogits;
  }

  /** How the tokens of `count` rows are chosen. */
  draws(count: number): SamplingRequest[] {
    return Array.from({ length: count }, (_, i) => this.sampler.draw(i));
  }

  /** Takes the tokens of the step, chosen ones or logits to choose from, as long as guesses prove right. */
  *accept(rows: readonly (number | Float32Array)[]): Generator<GeneratedToken> {
    if (rows.length === 0) {
      this.computed += this.taken;
      return;
    }
    const { maxTokens, stopIds = [], signal } = this.request;
    let right = true;
    let hits = 0;
    for (let i = 0; right && i < rows.length && !this.done && !signal?.aborted; i++) {
      const chosen = this.sampler.accept(rows[i]);
      this.tokens.push(chosen.id);
      right = this.guesses[i] === chosen.id;
      if (right) hits++;
      this.done = stopIds.includes(chosen.id) || this.sampler.count >= maxTokens;
      yield { request: this.index, ...chosen, guessed: right };
    }
    // The last token was chosen, not computed.
    this.computed = this.tokens.length - 1;
    this.adapt(hits);
  }

  observe(collected: ReadonlyMap<string, Tensor>, row: number, count: number): void {
    if (!this.drafting?.observe) return;
    const rows = new Map([...collected].map(([name, tensor]) => [name, tensor.slice(0, row, row + count)]));
    this.drafting.observe(rows, this.computed);
    for (const tensor of rows.values()) tensor.dispose();
  }

  close(): void {
    this.drafting?.close();
  }

  /** All right: twice as many next time. Else about as many as were right. */
  private adapt(hits: number): void {
    if (this.guesses.length === 0) return;
    const next = hits === this.guesses.length ? 2 * Math.max(this.depth, hits) : hits + 1;
    this.depth = Math.min(this.maximumDepth, next);
  }
}
