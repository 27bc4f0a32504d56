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
import { EventStream } from './event-stream.js';
import type { EngineLimits } from './limits.js';
import { ModelPool, readerOf, writerOf } from './model-pool.js';
import type { ModelPoolLimits, ModelSource, ServedModel } from './model-source.js';
import type { Runner } from './pool-slot.js';

/**
 * An engine in this process. Each model has its own loop and cache; between steps the event loop runs, so a step's
 * time is the longest that anything else waits.
 * @throws ArgumentError for no models, two of one name, or limits out of range
 */
export function createEngine(models: readonly ServedModel[], limits: EngineLimits = {}): Engine {
  const pool = new ModelPool(limits);
  try {
    requireModels(models);
    for (const loaded of models) pool.add(loaded);
    return new InProcessEngine(pool);
  } catch (error) {
    void pool.close();
    throw error;
  }
}

/**
 * The same over models that it loads itself: all of them once, the first ones last, so that what is wrong shows now; later
 * those that are asked for, within `modelBytes`.
 * @throws ArgumentError as `createEngine` does, and for a model that is larger than `modelBytes`; what a source throws
 */
export async function openEngine(
  sources: readonly ModelSource[],
  limits: ModelPoolLimits = {},
): Promise<Engine> {
  const pool = new ModelPool(limits);
  try {
    requireModels(sources);
    for (const source of sources) pool.place(source);
    for (const { name } of [...sources].reverse()) await pool.bring(name, () => {});
    return new InProcessEngine(pool);
  } catch (error) {
    await pool.close();
    throw error;
  }
}

function requireModels(models: readonly object[]): void {
  if (models.length === 0) throw new ArgumentError({ where: 'engine', what: 'no models to serve' });
}

class InProcessEngine implements Engine {
  constructor(private readonly pool: ModelPool) {}

  get isAvailable(): boolean {
    return !this.pool.isClosed;
  }

  models(): readonly ModelCard[] {
    return this.pool.cards;
  }

  submit(request: GenerationRequest): AsyncIterable<GenerationEvent> {
    const { model } = request;
    const begin = (runner: Runner) => writerOf(runner, model).submit(request);
    try {
      const runner = this.pool.ready(model);
      const prepared = runner && writerOf(runner, model).prepare(request);
      if (prepared) return later(() => prepared.then(() => this.begin(model, begin)));
      return runner ? begin(runner) : later(() => this.begin(model, begin));
    } catch (error) {
      return refused(error);
    }
  }

  encode(request: EncodingRequest): Promise<Encoding> {
    const { model } = request;
    return this.begin(model, (runner) => readerOf(runner, model).encode(request));
  }

  /** With the model as it is, or once it is loaded. */
  private async begin<T>(model: string, work: (runner: Runner) => T | Promise<T>): Promise<T> {
    const runner = this.pool.ready(model);
    return runner ? work(runner) : (await this.pool.bring(model, work)).begun;
  }

  async loadAdapter({ model, adapter, source }: AdapterSource): Promise<void> {
    await this.pool.withWriter(model, async (writer, slot) => {
      await writer.loadAdapter(adapter, source);
      slot.adapters.set(adapter, source);
    });
    try {
      await this.pool.settle(model);
    } catch (error) {
      await this.unloadAdapter({ model, adapter });
      throw error;
    }
  }

  async unloadAdapter({ model, adapter }: AdapterName): Promise<void> {
    await this.pool.withWriter(model, async (writer, slot) => {
      await writer.unloadAdapter(adapter);
      slot.adapters.delete(adapter);
    });
  }

  async loadModel(name: string): Promise<void> {
    if (!this.pool.ready(name)) await this.pool.bring(name, () => {});
  }

  async unloadModel(name: string): Promise<void> {
    await this.pool.unload(name);
  }

  stats(): EngineStats {
    return this.pool.stats;
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}

/** Events of a request that begins once its model is loaded. Whoever leaves before costs nothing more. */
function later(begin: () => Promise<AsyncIterable<GenerationEvent>>): AsyncIterable<GenerationEvent> {
  let iterator: AsyncIterator<GenerationEvent> | null = null;
  let left = false;
  const stream = new EventStream<GenerationEvent>(() => {
    left = true;
    void iterator?.return?.();
  });
  const forward = async () => {
    iterator = (await begin())[Symbol.asyncIterator]();
    if (left) await iterator.return?.();
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) stream.push(next.value);
    stream.end();
  };
  forward().catch((error) => stream.fail(error));
  return stream;
}

/** All errors reach the caller in one way: through the iteration. */
function refused(error: unknown): AsyncIterable<GenerationEvent> {
  const stream = new EventStream<GenerationEvent>();
  stream.fail(error);
  return stream;
}
