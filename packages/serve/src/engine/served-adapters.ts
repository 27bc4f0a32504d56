import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from './errors.js';
import type { LoadedModel } from './loaded-model.js';

/** An adapter as requests use it. Loaded again under the same name, it is another one: nothing is shared between them. */
export interface ServedAdapter {
  readonly name: string;
  /** What stands for it in a step. */
  readonly index: number;
}

/** How often to look whether the last request of an adapter has ended; milliseconds. */
const PATIENCE = 5;

/** The adapters of one model, which come and go while others are used. */
export class ServedAdapters {
  private readonly served = new Map<string, ServedAdapter>();
  private readonly leaving = new Set<string>();

  constructor(private readonly loaded: LoadedModel) {}

  /** Those that can be asked for. */
  get names(): readonly string[] {
    return (this.loaded.adapters?.names ?? []).filter((name) => !this.leaving.has(name));
  }

  /** Memory of all of them. */
  get bytes(): number {
    return this.loaded.adapters?.bytes ?? 0;
  }

  /** Changes with them. */
  get version(): number {
    return this.loaded.adapters?.version ?? 0;
  }

  /** @throws EngineError when there is none of that name */
  find(name: string): ServedAdapter {
    const { adapters } = this.loaded;
    if (!adapters || !this.names.includes(name)) throw this.unknown(name);
    const known = this.served.get(name) ?? { name, index: adapters.indexOf(name) };
    this.served.set(name, known);
    return known;
  }

  /** @throws EngineError when the name is taken or the model takes none, and what the loader throws */
  async load(name: string, source: string): Promise<void> {
    const { loadAdapter, adapters } = this.loaded;
    if (!loadAdapter || !adapters) {
      throw new EngineError('invalid-request', {
        what: `no adapters can be added to ${this.loaded.name}`,
        got: name,
      });
    }
    if (adapters.names.includes(name)) {
      throw new EngineError('invalid-request', {
        what: 'the adapter is loaded already',
        got: name,
        hint: 'Unload it first.',
      });
    }
    await loadAdapter(name, source);
  }

  /** Removes one as soon as `isUsed` says that no request uses it; returns it. */
  async unload(name: string, isUsed: (adapter: ServedAdapter) => boolean): Promise<ServedAdapter> {
    const adapter = this.find(name);
    this.leaving.add(name);
    try {
      while (isUsed(adapter)) await sleep(PATIENCE);
      this.loaded.adapters?.remove(name);
      this.served.delete(name);
      return adapter;
    } finally {
      this.leaving.delete(name);
    }
  }

  private unknown(name: string): EngineError {
    return new EngineError('unknown-adapter', {
      what: `the model ${this.loaded.name} has no such adapter`,
      got: name,
      expected: this.names.join(', ') || 'none is loaded',
    });
  }
}
