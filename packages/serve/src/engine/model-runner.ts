import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  computeTexts,
  defaultCacheDType,
  ModelSteps,
  modelCache,
  PagedKVCache,
  type RowChoices,
} from '@frugal/tensor-core/generation';
import { acceptRequest, prepareRequest } from './accept.js';
import type { EngineStats, FinishReason, GenerationEvent, GenerationRequest, ModelCard } from './contract.js';
import { EngineError } from './errors.js';
import { type EngineLimits, type ResolvedLimits, resolveLimits } from './limits.js';
import { type LoadedModel, prepareModel, type ServedModel } from './loaded-model.js';
import { RequestMemory } from './request-memory.js';
import type { RunningRequest } from './running-request.js';
import { Scheduler, type StepEntry } from './scheduler.js';
import { type ServedAdapter, ServedAdapters } from './served-adapters.js';

/** With more requests that write, a step has rows enough: guesses would only take their time. */
const MOST_GUESSING = 4;

/** One model with its cache and its loop: admits, plans a step, computes it, hands out tokens, and again. */
export class ModelRunner {
  private readonly served: ServedModel;
  private readonly cache: PagedKVCache;
  private readonly steps: ModelSteps;
  private readonly scheduler: Scheduler<RunningRequest>;
  private readonly memory: RequestMemory<RunningRequest>;
  private readonly limits: ResolvedLimits;
  private readonly adapters: ServedAdapters;
  /** Of the adapters when steps were last recorded. */
  private recordedVersion = 0;
  private loop: Promise<void> | null = null;
  private closed = false;
  private readonly totals = {
    ...{ finished: 0, steps: 0, preemptions: 0 },
    ...{ promptTokens: 0, cachedTokens: 0, completionTokens: 0, draftTokens: 0, draftTokensAccepted: 0 },
  };

  constructor(loaded: LoadedModel, limits: EngineLimits) {
    const { model } = loaded;
    this.limits = resolveLimits(loaded, limits);
    this.served = prepareModel(loaded, this.limits.contextLength);
    this.cache = modelCache(model, { tokens: this.limits.cacheTokens, pageSize: this.limits.pageSize });
    this.steps = new ModelSteps(model, this.cache);
    this.scheduler = new Scheduler(this.limits);
    this.memory = new RequestMemory(this.cache);
    this.adapters = new ServedAdapters(loaded);
    // The first request with a format must not hold up the others.
    setImmediate(() => void (this.closed || this.served.formats.prepare()));
  }

  /** What has to be waited for before `submit` is quick; null: nothing. */
  prepare(request: GenerationRequest): Promise<void> | null {
    return this.closed || this.scheduler.isFull ? null : prepareRequest(this.served, request);
  }

  /** @throws EngineError when the request is refused */
  submit(request: GenerationRequest): AsyncIterable<GenerationEvent> {
    if (this.closed) throw new EngineError('closed', { what: 'the engine is closed' });
    if (this.scheduler.isFull) {
      throw new EngineError('overloaded', {
        what: 'too many requests are waiting',
        got: `${this.scheduler.waiting.length} in the queue`,
        hint: 'Try again in a moment.',
      });
    }
    const adapter = request.adapter === undefined ? null : this.adapters.find(request.adapter);
    const running = acceptRequest(this.served, request, { draftTokens: this.limits.draftTokens, adapter });
    // A running request must not lose its pages in the middle of a step: the loop ends it after the step.
    running.onAbort = () => {
      if (this.scheduler.waiting.includes(running)) this.end(running, 'abort');
    };
    this.scheduler.enqueue(running);
    if (request.signal?.aborted) running.abort();
    this.loop ??= this.run();
    return running.events;
  }

  /** Memory for keys and values. */
  get cacheBytes(): number {
    const { model } = this.served;
    return this.limits.cacheTokens * PagedKVCache.bytesPerToken(model.cacheSpec, defaultCacheDType(model));
  }

  get card(): ModelCard {
    const { served, adapters } = this;
    const weightBytes = served.card.weightBytes + adapters.bytes;
    return { ...served.card, weightBytes, loaded: true, adapters: adapters.names };
  }

  /** @throws EngineError, or what the loader throws */
  async loadAdapter(name: string, source: string): Promise<void> {
    await this.adapters.load(name, source);
  }

  /** @throws EngineError */
  async unloadAdapter(name: string): Promise<void> {
    const isUsed = (adapter: ServedAdapter) =>
      [this.scheduler.waiting, this.scheduler.running].some((list) =>
        list.some((request) => request.adapter === adapter),
      );
    this.memory.forget(await this.adapters.unload(name, isUsed));
  }

  get stats(): EngineStats {
    const { held, idle } = this.memory.usage;
    const { pageSize } = this.cache;
    return {
      waiting: this.scheduler.waiting.length,
      running: this.scheduler.running.length,
      ...this.totals,
      cacheTokens: this.cache.pool.size * pageSize,
      cacheTokensHeld: held * pageSize,
      cacheTokensKept: idle * pageSize,
    };
  }

  /** Ends when nothing runs or waits. */
  async idle(): Promise<void> {
    while (this.loop) await this.loop;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const request of [...this.scheduler.waiting, ...this.scheduler.running]) request.abort();
    if (this.loop) await this.loop;
    this.steps.dispose();
    this.cache.dispose();
  }

  /** Runs while there is work. Each turn lets the event loop have its way, so that requests and aborts come in. */
  private async run(): Promise<void> {
    for (await nextTurn(); !this.scheduler.isIdle; await nextTurn()) {
      for (const request of this.scheduler.running.filter(({ isAborted }) => isAborted))
        this.end(request, 'abort');
      this.scheduler.admit(
        (request) => this.memory.start(request, this.scheduler.running),
        (request) => this.preempt(request),
      );
      const plan = await this.plan();
      if (plan.length > 0) await this.step(plan);
    }
    this.loop = null;
  }

  /** The next step. Where memory is short, the last running requests go back to wait: the first one always fits alone. */
  private async plan(): Promise<readonly StepEntry<RunningRequest>[]> {
    await this.guess();
    for (;;) {
      const plan = this.scheduler.plan(this.advancing());
      if (this.memory.reserve(plan)) return plan;
      this.scheduler.preempt((request) => this.preempt(request));
    }
  }

  /** Asks the draft, within what a step can check. Guesses pay while a step has few rows. */
  private async guess(): Promise<void> {
    if (!this.served.draft) return;
    const writing = this.scheduler.running.filter(({ isPrompt }) => !isPrompt);
    const limit = writing.length > MOST_GUESSING ? 0 : this.limits.tokensPerStep / writing.length - 1;
    for (const request of writing) {
      try {
        await request.text.guess(Math.floor(limit));
      } catch (error) {
        this.fail(request, error);
      }
    }
  }

  /** All running requests but those whose next page another one is about to compute: they take it over then. */
  private advancing(): readonly RunningRequest[] {
    const claimed = new Set<string>();
    return this.scheduler.running.filter((request) => {
      if (!request.isPrompt) return true;
      this.memory.catchUp(request);
      const page = this.memory.nextPage(request);
      if (page === null) return true;
      const isFirst = !claimed.has(page);
      claimed.add(page);
      return isFirst;
    });
  }

  private preempt(request: RunningRequest): void {
    this.memory.stop(request);
    this.totals.preemptions++;
  }

  /** A failed step costs the requests in it; the others, and those to come, go on. */
  private async step(plan: readonly StepEntry<RunningRequest>[]): Promise<void> {
    this.totals.steps++;
    const planned = plan.map(({ request, count }) => {
      const sequence = this.memory.sequenceOf(request);
      return { text: request.text, sequence, count, adapter: request.adapter?.index };
    });
    // Recorded steps read the weights of adapters where they were.
    if (this.recordedVersion !== this.adapters.version) this.steps.dispose();
    this.recordedVersion = this.adapters.version;
    try {
      const choices = await computeTexts(this.steps, planned, this.served.draft?.collect);
      plan.forEach(({ request }, i) => void this.advance(request, choices[i]));
    } catch (error) {
      for (const { request } of plan) this.fail(request, error);
    }
  }

  private advance(request: RunningRequest, choices: RowChoices): void {
    if (request.isAborted) return;
    try {
      const reason = request.advance(choices);
      this.memory.settle(request);
      if (reason) this.end(request, reason);
    } catch (error) {
      this.fail(request, error);
    }
  }

  private end(request: RunningRequest, reason: FinishReason): void {
    this.release(request);
    request.finish(reason);
  }

  private fail(request: RunningRequest, error: unknown): void {
    this.release(request);
    request.fail(error);
  }

  private release(request: RunningRequest): void {
    this.scheduler.remove(request);
    this.memory.stop(request);
    const { promptTokens, cachedTokens, completionTokens } = request.usage;
    this.totals.finished++;
    this.totals.promptTokens += promptTokens;
    this.totals.cachedTokens += cachedTokens;
    this.totals.completionTokens += completionTokens;
    this.totals.draftTokens += request.guesses.checked;
    this.totals.draftTokensAccepted += request.guesses.right;
  }
}
