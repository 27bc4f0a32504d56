import { Sampler, type SamplerOptions, type SamplingRequest } from '@frugal/tensor-core/generation';
import type { FinishReason, GenerationEvent, Usage } from './contract.js';
import { EngineError } from './errors.js';
import { EventStream } from './event-stream.js';
import type { Schedulable } from './scheduler.js';
import type { TextOutput } from './text-output.js';

export interface RequestOptions {
  readonly prompt: ArrayLike<number>;
  readonly maxTokens: number;
  /** With how many of the most likely tokens to report, if any. */
  readonly sampling: SamplerOptions;
  readonly stopIds: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly output: TextOutput;
}

/** A request from the moment it is accepted to its last event. Knows tokens and text, nothing of memory or batches. */
export class RunningRequest implements Schedulable {
  readonly events = new EventStream<GenerationEvent>(() => this.abort());
  readonly longest: number;
  /** Where its keys and values lie; set while it runs. */
  cacheSequence: number | null = null;
  /** Runs once, when the request is told to stop. */
  onAbort: () => void = () => {};
  private readonly tokens: number[];
  private readonly sampler: Sampler;
  private computed = 0;
  private aborted = false;
  private readonly abortHandler = () => this.abort();

  constructor(private readonly options: RequestOptions) {
    this.tokens = Array.from(options.prompt);
    this.sampler = new Sampler(options.sampling, options.prompt);
    this.longest = options.prompt.length + options.maxTokens;
    options.signal?.addEventListener('abort', this.abortHandler, { once: true });
    this.events.push({ type: 'start', promptTokens: options.prompt.length });
  }

  get pending(): number {
    return this.tokens.length - this.computed;
  }
  get isAborted(): boolean {
    return this.aborted;
  }
  get usage(): Usage {
    return { promptTokens: this.options.prompt.length, completionTokens: this.generated };
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.onAbort();
  }

  /** The next `count` tokens to compute. */
  take(count: number): readonly number[] {
    const taken = this.tokens.slice(this.computed, this.computed + count);
    this.computed += count;
    return taken;
  }

  get needsLogits(): boolean {
    return this.sampler.needsLogits;
  }

  /** How the next token is chosen. */
  draw(): SamplingRequest {
    return this.sampler.draw();
  }

  /** Takes the next token, or the logits to choose it from. Returns why the text ends there, or null. */
  advance(row: number | Float32Array): FinishReason | null {
    const { stopIds, maxTokens, output } = this.options;
    if (typeof row !== 'number') requireFinite(row);
    const { id, logprobs } = this.sampler.accept(row);
    this.tokens.push(id);
    if (stopIds.has(id)) return 'stop';
    const { text, stopped } = output.push(id);
    this.emit(text, logprobs ? output.describe(logprobs) : null);
    if (stopped) return 'stop';
    return this.generated >= maxTokens ? 'length' : null;
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
    this.events.fail(new EngineError('failed', { what: 'a step of the model failed', cause }));
  }

  private get generated(): number {
    return this.tokens.length - this.options.prompt.length;
  }

  private emit(text: string, logprobs: ReturnType<TextOutput['describe']> | null): void {
    if (text === '' && !logprobs) return;
    this.events.push({ type: 'text', text, ...(logprobs && { logprobs: [logprobs] }) });
  }

  private release(): void {
    this.options.signal?.removeEventListener('abort', this.abortHandler);
  }
}

function requireFinite(logits: Float32Array): void {
  for (const value of logits) {
    if (Number.isNaN(value) || value === Number.POSITIVE_INFINITY) {
      throw new EngineError('failed', {
        what: 'the logits are not finite',
        got: String(value),
        hint: 'Check the weights: frugal doctor MODEL.',
      });
    }
  }
}
