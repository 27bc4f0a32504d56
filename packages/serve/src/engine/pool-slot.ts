import type { EngineStats, ModelCard } from './contract.js';
import type { EncoderRunner } from './encoder-runner.js';
import { ModelRunner } from './model-runner.js';
import type { ModelSource, ServedModel } from './model-source.js';

export type Runner = ModelRunner | EncoderRunner;

/** The place of one model in a pool, whether it is loaded or not. */
export class PoolSlot {
  lastUsed = 0;
  /** Where its adapters came from, by name. */
  readonly adapters = new Map<string, string>();
  private loaded: ServedModel | null = null;
  private current: Runner | null = null;
  private leaving = false;
  private lastCard: ModelCard | null = null;
  private readonly held = new Set<Promise<unknown>>();
  /** Its memory before it was given up, as far as is known. */
  private lastBytes: number;
  /** What it did before it was loaded last. */
  private past: EngineStats | null = null;

  constructor(
    readonly name: string,
    /** Null: it came loaded, and stays. */
    readonly source: ModelSource | null,
  ) {
    this.lastBytes = source?.bytes ?? 0;
  }

  /** Of its weights, adapters and cache: what they take, or will take again. */
  get bytes(): number {
    const { current } = this;
    if (!current) return this.lastBytes;
    return current.card.weightBytes + (current instanceof ModelRunner ? current.cacheBytes : 0);
  }

  /** Null: it is not loaded, or takes no new requests. */
  get runner(): Runner | null {
    return this.leaving ? null : this.current;
  }

  get card(): ModelCard {
    const card = this.current?.card ?? (this.lastCard as ModelCard);
    return {
      ...card,
      name: this.name,
      adapters: this.current ? card.adapters : [...this.adapters.keys()],
      loaded: this.runner !== null,
    };
  }

  get stats(): EngineStats {
    const { past, current } = this;
    if (!past || !current) return current?.stats ?? past ?? none;
    const now = current.stats;
    const keys = Object.keys(now) as (keyof EngineStats)[];
    return Object.fromEntries(keys.map((key) => [key, past[key] + now[key]])) as unknown as EngineStats;
  }

  fill(loaded: ServedModel, runner: Runner): void {
    this.loaded = loaded;
    this.current = runner;
    this.lastCard = runner.card;
  }

  /** The model stays at least until this has ended. */
  hold<T>(work: Promise<T>): Promise<T> {
    this.held.add(work);
    const release = () => void this.held.delete(work);
    work.then(release, release);
    return work;
  }

  /** Takes nothing new, and waits for what runs. */
  async finish(): Promise<void> {
    this.leaving = true;
    await this.current?.idle();
    while (this.held.size > 0) await Promise.allSettled([...this.held]);
    await this.current?.idle();
  }

  /** Frees the model. */
  async empty(): Promise<void> {
    const { current, loaded } = this;
    this.lastBytes = this.bytes;
    await current?.close();
    if (current) {
      const idle = { cacheTokens: 0, cacheTokensHeld: 0, cacheTokensKept: 0, waiting: 0, running: 0 };
      this.lastCard = current.card;
      this.past = { ...this.stats, ...idle };
    }
    [this.current, this.loaded, this.leaving] = [null, null, false];
    if (loaded) await this.source?.unload(loaded);
  }

  /** One that cannot be loaded any more is gone: requests with it are told so. */
  async restoreAdapters(): Promise<void> {
    const { current } = this;
    if (!(current instanceof ModelRunner)) return;
    for (const [name, source] of this.adapters) {
      if (current.card.adapters.includes(name)) continue;
      await current.loadAdapter(name, source).catch(() => void this.adapters.delete(name));
    }
  }
}

const none: EngineStats = {
  ...{ waiting: 0, running: 0, finished: 0, steps: 0, preemptions: 0 },
  ...{ promptTokens: 0, cachedTokens: 0, completionTokens: 0, draftTokens: 0, draftTokensAccepted: 0 },
  ...{ cacheTokens: 0, cacheTokensHeld: 0, cacheTokensKept: 0 },
};
