import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine, GenerationEvent } from '../../engine/contract.js';
import { engineMetrics } from './engine-metrics.js';

/** Seconds: from a cached prompt on a fast machine to a long one on a slow machine. */
const firstTokenBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const nextTokenBuckets = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5];
const requestBuckets = [0.005, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** What Prometheus reads at `/metrics`: numbers of this server alone, none of which holds any text. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly requests = this.histogram(
    'request_seconds',
    'Until the last byte of an answer.',
    requestBuckets,
    ['route', 'status'],
  );
  private readonly firstToken = this.histogram(
    'time_to_first_token_seconds',
    'From the arrival of a request at the engine to the first text of its answer.',
    firstTokenBuckets,
    ['model'],
  );
  private readonly nextToken = this.histogram(
    'inter_token_seconds',
    'Between two pieces of text of one answer, mostly one token each.',
    nextTokenBuckets,
    ['model'],
  );
  private readonly promptTokens = this.counter(
    'prompt_tokens_total',
    'Tokens of prompts of finished requests.',
    ['model'],
  );
  private readonly completionTokens = this.counter(
    'completion_tokens_total',
    'Tokens of answers that ended.',
    ['model'],
  );
  private readonly finished = this.counter('finished_total', 'Answers by what ended them.', [
    'model',
    'reason',
  ]);

  constructor(engine: Engine) {
    collectDefaultMetrics({ register: this.registry });
    this.gauge('engine_up', 'Whether the engine takes requests.', () => (engine.isAvailable ? 1 : 0));
    for (const { name, help, field, kind } of engineMetrics) {
      const value = () => engine.stats()[field];
      if (kind === 'gauge') this.gauge(name, help, value);
      else this.total(name, help, value);
    }
  }

  addRoute(app: FastifyInstance, isOpen: boolean): void {
    app.addHook('onRequest', async (request, reply) => {
      const end = this.requests.startTimer();
      reply.raw.once('close', () => {
        end({ route: request.routeOptions.url ?? 'none', status: String(reply.raw.statusCode) });
      });
    });
    app.get('/metrics', { config: { open: isOpen } }, async (_request, reply) => {
      return reply.type(this.registry.contentType).send(await this.registry.metrics());
    });
  }

  /** Passes the events of requests on, and measures their times. Leaving early reaches the engine at once. */
  observed(submit: Engine['submit']): Engine['submit'] {
    return (request) => {
      const iterator = submit(request)[Symbol.asyncIterator]();
      const note = this.observer(request.model);
      const next = async () => {
        const result = await iterator.next();
        if (!result.done) note(result.value);
        return result;
      };
      const leave = async () => (await iterator.return?.()) ?? { done: true as const, value: undefined };
      return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
    };
  }

  private observer(model: string): (event: GenerationEvent) => void {
    let last = performance.now();
    let histogram = this.firstToken;
    return (event) => {
      if (event.type === 'text') {
        const now = performance.now();
        histogram.observe({ model }, (now - last) / 1000);
        histogram = this.nextToken;
        last = now;
      } else if (event.type === 'finish') {
        this.finished.inc({ model, reason: event.reason });
        this.promptTokens.inc({ model }, event.usage.promptTokens);
        this.completionTokens.inc({ model }, event.usage.completionTokens);
      }
    };
  }

  private histogram<Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[],
  ) {
    return new Histogram({ name: `frugal_${name}`, help, buckets, labelNames, registers: [this.registry] });
  }

  private counter<Label extends string>(name: string, help: string, labelNames: Label[]) {
    return new Counter({ name: `frugal_${name}`, help, labelNames, registers: [this.registry] });
  }

  private gauge(name: string, help: string, value: () => number): void {
    const collect = function (this: Gauge) {
      this.set(value());
    };
    new Gauge({ name: `frugal_${name}`, help, collect, registers: [this.registry] });
  }

  /** A counter that the engine keeps. It begins anew with a new process, which Prometheus knows of counters. */
  private total(name: string, help: string, value: () => number): void {
    const collect = function (this: Counter) {
      this.reset();
      this.inc(value());
    };
    new Counter({ name: `frugal_${name}`, help, collect, registers: [this.registry] });
  }
}
