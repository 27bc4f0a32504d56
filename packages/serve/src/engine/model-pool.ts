import { ArgumentError } from '@frugal/tensor-core';
import type { EngineStats, ModelCard } from './contract.js';
import { EncoderRunner } from './encoder-runner.js';
import { EngineError } from './errors.js';
import { ModelRunner } from './model-runner.js';
import type { ModelPoolLimits, ModelSource, ServedModel } from './model-source.js';
import { PoolSlot, type Runner } from './pool-slot.js';

/**
 * The models of an engine. Those that came loaded stay; those of a source are loaded when they are asked for, one after the other,
 * and give their memory up to others.
 */
export class ModelPool {
  private readonly slots = new Map<string, PoolSlot>();
  /** Loading and unloading, in the order in which they were asked for: nobody waits forever. */
  private turn: Promise<unknown> = Promise.resolve();
  private loading = 0;
  private uses = 0;
  private closed = false;

  constructor(private readonly limits: ModelPoolLimits) {
    const { modelBytes = 1 } = limits;
    if (Number.isSafeInteger(modelBytes) && modelBytes > 0) return;
    throw new ArgumentError({
      where: 'engine',
      what: 'modelBytes out of range',
      got: String(modelBytes),
      expected: 'a positive integer',
    });
  }

  get isClosed(): boolean {
    return this.closed;
  }
  get cards(): readonly ModelCard[] {
    return [...this.slots.values()].map(({ card }) => card);
  }
  /** Requests that wait for a model count as waiting. */
  get stats(): EngineStats {
    const all = [...this.slots.values()].map(({ stats }) => stats);
    const sum = all.reduce((total, each) => {
      const keys = Object.keys(total) as (keyof EngineStats)[];
      return Object.fromEntries(keys.map((key) => [key, total[key] + each[key]])) as unknown as EngineStats;
    });
    return { ...sum, waiting: sum.waiting + this.loading };
  }

  /** Takes a model that stays. @throws ArgumentError for a second one of its name */
  add(loaded: ServedModel): void {
    this.insert(loaded.name, new PoolSlot(loaded.name, null)).fill(loaded, this.runnerOf(loaded));
  }

  /** Takes a source, which is not loaded yet. @throws ArgumentError for a second one of its name */
  place(source: ModelSource): void {
    this.insert(source.name, new PoolSlot(source.name, source));
  }

  /** A model that is loaded now; null: `bring` has to be waited for. @throws EngineError for an unknown name */
  ready(name: string): Runner | null {
    const slot = this.slot(name);
    if (slot.runner) slot.lastUsed = ++this.uses;
    return slot.runner;
  }

  /** Loads a model and begins what it is wanted for, before others can take its memory. @throws EngineError */
  async bring<T>(name: string, begin: (runner: Runner) => T): Promise<{ readonly begun: T }> {
    const slot = this.slot(name);
    const { maxWaiting = 256 } = this.limits;
    if (this.loading >= maxWaiting) {
      throw new EngineError('overloaded', {
        what: 'too many requests wait for a model to be loaded',
        got: `${this.loading} of them`,
        hint: 'Try again in a moment.',
      });
    }
    this.loading++;
    try {
      return await this.inTurn(async () => {
        const runner = await this.load(slot);
        slot.lastUsed = ++this.uses;
        return { begun: begin(runner) };
      });
    } finally {
      this.loading--;
    }
  }

  /** Gives a model up once its requests have finished; the next request loads it again. */
  async unload(name: string): Promise<void> {
    const slot = this.slot(name);
    if (!slot.source) {
      throw new EngineError('invalid-request', { what: 'the model cannot be unloaded', got: name });
    }
    await this.inTurn(() => this.giveUp(slot));
  }

  /** Does something to a model that writes, which stays loaded meanwhile. */
  async withWriter(
    name: string,
    work: (writer: ModelRunner, slot: PoolSlot) => Promise<void>,
  ): Promise<void> {
    const slot = this.slot(name);
    const begin = (runner: Runner) => slot.hold(work(writerOf(runner, name), slot));
    const runner = this.ready(name);
    await (runner ? begin(runner) : (await this.bring(name, begin)).begun);
  }

  /** Makes room for what a model has taken in addition. @throws EngineError when there is none */
  async settle(name: string): Promise<void> {
    const slot = this.slot(name);
    try {
      await this.inTurn(() => this.makeRoom(slot, 0));
    } catch (cause) {
      if (!(cause instanceof ArgumentError)) throw cause;
      const { what, got, expected, hint } = cause;
      throw new EngineError('invalid-request', { what, got, expected, hint, cause });
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await Promise.all([...this.slots.values()].map(({ runner }) => runner?.close()));
    await this.turn;
    for (const slot of this.slots.values()) if (slot.source) await slot.empty();
  }

  private insert(name: string, slot: PoolSlot): PoolSlot {
    if (this.slots.has(name)) {
      throw new ArgumentError({ where: 'engine', what: 'two models have one name', got: name });
    }
    this.slots.set(name, slot);
    return slot;
  }

  private slot(name: string): PoolSlot {
    if (this.closed) throw new EngineError('closed', { what: 'the engine is closed' });
    const slot = this.slots.get(name);
    if (slot) return slot;
    throw new EngineError('unknown-model', {
      what: 'there is no such model here',
      got: name,
      expected: [...this.slots.keys()].join(', '),
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(() => {
      if (this.closed) throw new EngineError('closed', { what: 'the engine is closed' });
      return work();
    });
    this.turn = done.catch(() => {});
    return done;
  }

  private async load(slot: PoolSlot): Promise<Runner> {
    const { runner, source } = slot;
    if (runner || !source) return runner as Runner;
    await this.makeRoom(slot, slot.bytes);
    const loaded = await source.load();
    try {
      slot.fill(loaded, this.runnerOf(loaded));
    } catch (error) {
      await source.unload(loaded);
      throw error;
    }
    await slot.restoreAdapters();
    // Its size is known only now.
    try {
      await this.makeRoom(slot, 0);
    } catch (error) {
      await this.giveUp(slot);
      throw error;
    }
    return slot.runner as unknown as Runner;
  }

  /** Until so many bytes are free beside the models that are loaded. */
  private async makeRoom(wanted: PoolSlot, bytes: number): Promise<void> {
    const { modelBytes = Number.POSITIVE_INFINITY } = this.limits;
    const loaded = () => [...this.slots.values()].filter(({ runner }) => runner !== null);
    while (loaded().reduce((sum, slot) => sum + slot.bytes, bytes) > modelBytes) {
      const others = loaded().filter((slot) => slot !== wanted && slot.source);
      if (others.length === 0) {
        const got = `${loaded().reduce((sum, slot) => sum + slot.bytes, bytes)} bytes`;
        throw new ArgumentError({
          where: 'engine',
          what: `the model ${wanted.name} does not fit into modelBytes, with its cache, its adapters, and those that stay`,
          got,
          expected: `at most ${modelBytes}`,
          hint: 'Allow more, or make cacheBytes smaller.',
        });
      }
      await this.giveUp(others.reduce((oldest, slot) => (slot.lastUsed < oldest.lastUsed ? slot : oldest)));
    }
  }

  private async giveUp(slot: PoolSlot): Promise<void> {
    await slot.finish();
    await slot.empty();
  }

  private runnerOf(loaded: ServedModel): Runner {
    return 'encoder' in loaded
      ? new EncoderRunner(loaded, this.limits)
      : new ModelRunner(loaded, this.limits);
  }
}

/** @throws EngineError for a model that writes nothing */
export function writerOf(runner: Runner, name: string): ModelRunner {
  if (runner instanceof ModelRunner) return runner;
  throw new EngineError('wrong-task', { what: `the model ${name} reads texts and writes none` });
}

/** @throws EngineError for a model that writes */
export function readerOf(runner: Runner, name: string): EncoderRunner {
  if (runner instanceof EncoderRunner) return runner;
  throw new EngineError('wrong-task', {
    what: `the model ${name} writes texts, and gives no vectors or classes`,
  });
}
