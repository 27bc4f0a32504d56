import { ArgumentError } from '@frugal/tensor-core';
import type {
  AdapterName,
  AdapterSource,
  Encoding,
  EncodingRequest,
  Engine,
  EngineStats,
  GenerationEvent,
  GenerationRequest,
  ModelCard,
} from './contract.js';
import { EncoderRunner } from './encoder-runner.js';
import { EngineError } from './errors.js';
import { EventStream } from './event-stream.js';
import type { EngineLimits } from './limits.js';
import type { LoadedEncoder } from './loaded-encoder.js';
import type { LoadedModel } from './loaded-model.js';
import { ModelRunner } from './model-runner.js';

/**
 * An engine in this process. Each model has its own loop and cache; between steps the event loop runs, so a step's
 * time is the longest that anything else waits.
 * @throws ArgumentError for no models, two of one name, or limits out of range
 */
export function createEngine(
  models: readonly (LoadedModel | LoadedEncoder)[],
  limits: EngineLimits = {},
): Engine {
  return new InProcessEngine(models, limits);
}

type Runner = ModelRunner | EncoderRunner;

class InProcessEngine implements Engine {
  private readonly runners = new Map<string, Runner>();
  private closed = false;

  constructor(models: readonly (LoadedModel | LoadedEncoder)[], limits: EngineLimits) {
    if (models.length === 0) throw new ArgumentError({ where: 'engine', what: 'no models to serve' });
    try {
      for (const loaded of models) this.add(loaded, limits);
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  get isAvailable(): boolean {
    return !this.closed;
  }

  models(): readonly ModelCard[] {
    return [...this.runners.values()].map(({ card }) => card);
  }

  submit(request: GenerationRequest): AsyncIterable<GenerationEvent> {
    try {
      return this.writer(request.model).submit(request);
    } catch (error) {
      return refused(error);
    }
  }

  async encode(request: EncodingRequest): Promise<Encoding> {
    const runner = this.runner(request.model);
    if (runner instanceof EncoderRunner) return runner.encode(request);
    throw new EngineError('wrong-task', {
      what: `the model ${request.model} writes texts`,
      got: `a request to ${request.task}`,
    });
  }

  async loadAdapter({ model, adapter, source }: AdapterSource): Promise<void> {
    await this.writer(model).loadAdapter(adapter, source);
  }

  async unloadAdapter({ model, adapter }: AdapterName): Promise<void> {
    await this.writer(model).unloadAdapter(adapter);
  }

  stats(): EngineStats {
    const all = [...this.runners.values()].map(({ stats }) => stats);
    return all.reduce((sum, each) => {
      const entries = Object.entries(sum) as [keyof EngineStats, number][];
      return Object.fromEntries(
        entries.map(([key, value]) => [key, value + each[key]]),
      ) as unknown as EngineStats;
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.runners.values()].map((runner) => runner.close()));
  }

  private add(loaded: LoadedModel | LoadedEncoder, limits: EngineLimits): void {
    if (this.runners.has(loaded.name)) {
      throw new ArgumentError({ where: 'engine', what: 'two models have one name', got: loaded.name });
    }
    this.runners.set(
      loaded.name,
      'encoder' in loaded ? new EncoderRunner(loaded, limits) : new ModelRunner(loaded, limits),
    );
  }

  private writer(name: string): ModelRunner {
    const runner = this.runner(name);
    if (runner instanceof ModelRunner) return runner;
    throw new EngineError('wrong-task', { what: `the model ${name} reads texts and writes none` });
  }

  private runner(name: string): Runner {
    const runner = this.runners.get(name);
    if (runner) return runner;
    throw new EngineError('unknown-model', {
      what: 'there is no such model here',
      got: name,
      expected: [...this.runners.keys()].join(', '),
    });
  }
}

/** All errors reach the caller in one way: through the iteration. */
function refused(error: unknown): AsyncIterable<GenerationEvent> {
  const stream = new EventStream<GenerationEvent>();
  stream.fail(error);
  return stream;
}
