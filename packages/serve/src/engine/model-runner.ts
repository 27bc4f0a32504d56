import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Tensor } from '@frugal/tensor-core';
import { chooseRows, ModelSteps, modelCache, type PagedKVCache } from '@frugal/tensor-core/generation';
import { acceptRequest } from './accept.js';
import type { EngineStats, FinishReason, GenerationEvent, GenerationRequest, ModelCard } from './contract.js';
import { EngineError } from './errors.js';
import { type EngineLimits, resolveLimits } from './limits.js';
import { type LoadedModel, prepareModel, type ServedModel } from './loaded-model.js';
import type { RunningRequest } from './running-request.js';
import { Scheduler, type StepEntry } from './scheduler.js';

/** One model with its cache and its loop: admits, plans a step, computes it, hands out tokens, and again. */
export class ModelRunner {
  private readonly served: ServedModel;
  private readonly cache: PagedKVCache;
  private readonly steps: ModelSteps;
  private readonly scheduler: Scheduler<RunningRequest>;
  private readonly cacheTokens: number;
  private loop: Promise<void> | null = null;
  private closed = false;
  private readonly totals = { finished: 0, steps: 0, promptTokens: 0, completionTokens: 0 };

  constructor(loaded: LoadedModel, limits: EngineLimits) {
    const { model } = loaded;
    const { contextLength, cacheTokens, pageSize, ...scheduling } = resolveLimits(loaded, limits);
    this.served = prepareModel(loaded, contextLength);
    const pages = Math.ceil(cacheTokens / pageSize);
    this.cacheTokens = pages * pageSize;
    this.cache = modelCache(model, { tokens: this.cacheTokens, pageSize });
    this.steps = new ModelSteps(model, this.cache);
    this.scheduler = new Scheduler({ pages, pageSize, ...scheduling });
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
    const running = acceptRequest(this.served, request);
    // A running request must not lose its pages in the middle of a step: the loop ends it after the step.
    running.onAbort = () => {
      if (running.cacheSequence === null) this.end(running, 'abort');
    };
    this.scheduler.enqueue(running);
    if (request.signal?.aborted) running.abort();
    this.loop ??= this.run();
    return running.events;
  }

  get card(): ModelCard {
    return this.served.card;
  }

  get stats(): EngineStats {
    return {
      waiting: this.scheduler.waiting.length,
      running: this.scheduler.running.length,
      ...this.totals,
      cacheTokens: this.cacheTokens,
      cacheTokensReserved: this.scheduler.reservedPages * this.cache.pageSize,
    };
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
      for (const request of this.scheduler.admit()) request.cacheSequence = this.cache.open();
      const plan = this.scheduler.plan();
      if (plan.length > 0) await this.step(plan);
    }
    this.loop = null;
  }

  /** A failed step costs the requests in it; the others, and those to come, go on. */
  private async step(plan: readonly StepEntry<RunningRequest>[]): Promise<void> {
    this.totals.steps++;
    try {
      const { logits, ready } = this.forward(plan);
      if (!logits) return;
      const draws = ready.map((request) => request.draw());
      const needsLogits = ready.some((request) => request.needsLogits);
      const rows = await chooseRows(logits, draws, needsLogits).finally(() => logits.dispose());
      ready.forEach((request, i) => void this.advance(request, rows[i]));
    } catch (error) {
      for (const { request } of plan) this.fail(request, error);
    }
  }

  /** Logits after each request whose known tokens are then all computed: [ready, V], or null when there is none. */
  private forward(plan: readonly StepEntry<RunningRequest>[]): {
    logits: Tensor | null;
    ready: readonly RunningRequest[];
  } {
    const parts = plan.map(({ request, count }) => {
      const tokens = request.take(count);
      return {
        sequence: request.cacheSequence as number,
        tokens,
        logits: request.pending === 0 ? 1 : 0,
      };
    });
    const { logits } = this.steps.run(parts);
    return { logits, ready: plan.map(({ request }) => request).filter((_, i) => parts[i].logits > 0) };
  }

  private advance(request: RunningRequest, row: number | Float32Array): void {
    if (request.isAborted) return;
    try {
      const reason = request.advance(row);
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
    if (request.cacheSequence !== null) this.cache.close(request.cacheSequence);
    request.cacheSequence = null;
    this.totals.finished++;
    this.totals.promptTokens += request.usage.promptTokens;
    this.totals.completionTokens += request.usage.completionTokens;
  }
}
