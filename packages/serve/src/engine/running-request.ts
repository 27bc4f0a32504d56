import { FrugalError } from '@frugal/tensor-core';
import {
  type Draft,
  type RowChoices,
  RunningText,
  type SamplerOptions,
} from '@frugal/tensor-core/generation';
import type { FinishReason, GenerationEvent, Usage } from './contract.js';
import { EngineError } from './errors.js';
import { EventStream } from './event-stream.js';
import type { MemoryUser } from './request-memory.js';
import type { Schedulable } from './scheduler.js';
import type { ServedAdapter } from './served-adapters.js';
import type { TextOutput } from './text-output.js';

export interface RequestOptions {
  readonly prompt: ArrayLike<number>;
  readonly maxTokens: number;
  /** With how many of the most likely tokens to report, if any. */
  readonly sampling: SamplerOptions;
  readonly stopIds: ReadonlySet<number>;
  readonly priority: number;
  /** null: the model as it is. */
  readonly adapter: ServedAdapter | null;
  readonly vocabularySize: number;
  readonly draft: Draft | undefined;
  readonly draftTokens: number;
  readonly signal: AbortSignal | undefined;
  readonly output: TextOutput;
}

/** A request from the moment it is accepted to its last event. Knows tokens and text, nothing of memory or batches. */
export class RunningRequest implements Schedulable, MemoryUser {
  readonly events = new EventStream<GenerationEvent>(() => this.abort());
  readonly text: RunningText;
  readonly priority: number;
  readonly adapter: ServedAdapter | null;
  /** A draft that reads the model's hidden states must see all of them. */
  readonly sharesPrefix: boolean;
  /** Runs once, when the request is told to stop. */
  onAbort: () => void = () => {};
  /** Guesses that were checked, and those that were right. */
  readonly guesses = { checked: 0, right: 0 };
  private cachedTokens = 0;
  private isRepeating = false;
  private aborted = false;
  private readonly abortHandler = () => this.abort();

  constructor(private readonly options: RequestOptions) {
    const { prompt, maxTokens, sampling, priority, adapter, signal, ...speculation } = options;
    this.text = new RunningText({ ...sampling, prompt, maxTokens }, speculation);
    this.priority = priority;
    this.adapter = adapter;
    this.sharesPrefix = !options.draft?.collect;
    signal?.addEventListener('abort', this.abortHandler, { once: true });
    this.events.push({ type: 'start', promptTokens: prompt.length });
  }

  /** Keys and values depend on the adapter. */
  get space(): unknown {
    return this.adapter;
  }
  get tokens(): readonly number[] {
    return this.text.tokens;
  }
  get computed(): number {
    return this.text.computed;
  }
  get pending(): number {
    return this.text.pending;
  }
  get isPrompt(): boolean {
    return this.text.isPrompt;
  }
  get isAborted(): boolean {
    return this.aborted;
  }
  get usage(): Usage {
    return {
      promptTokens: this.options.prompt.length,
      cachedTokens: this.cachedTokens,
      completionTokens: this.text.generated,
    };
  }

  reuse(count: number): void {
    this.text.computed += count;
    if (!this.isRepeating) this.cachedTokens += count;
  }

  rewind(): void {
    this.text.rewind();
    this.isRepeating = true;
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.onAbort();
  }

  /** Takes what a step chose for its rows. Returns why the text ends there, or null. */
  advance(choices: RowChoices): FinishReason | null {
    const { stopIds, output } = this.options;
    this.guesses.checked += Math.max(0, choices.length - 1);
    for (const { id, logprobs, guessed } of this.text.accept(choices)) {
      if (guessed) this.guesses.right++;
      if (stopIds.has(id)) return 'stop';
      const { text, stopped } = output.push(id);
      this.emit(text, logprobs ? output.describe(logprobs) : null);
      if (stopped) return 'stop';
    }
    if (this.text.isComplete) return 'stop';
    return this.text.isDone ? 'length' : null;
  }

  /** The last events: what was held back, and the end. */
  finish(reason: FinishReason): void {
    if (reason !== 'abort') this.emit(this.options.output.flush(), null);
    this.release();
    this.events.push({ type: 'finish', reason, usage: this.usage });
    this.events.end();
  }

  fail(cause: unknown): void {
    this.release();
    const { got, hint } = cause instanceof FrugalError ? cause : {};
    this.events.fail(new EngineError('failed', { what: 'a step of the model failed', got, hint, cause }));
  }

  private emit(text: string, logprobs: ReturnType<TextOutput['describe']> | null): void {
    if (text === '' && !logprobs) return;
    this.events.push({ type: 'text', text, ...(logprobs && { logprobs: [logprobs] }) });
  }

  private release(): void {
    this.text.close();
    this.options.signal?.removeEventListener('abort', this.abortHandler);
  }
}
