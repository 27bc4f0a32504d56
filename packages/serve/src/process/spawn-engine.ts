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
} from '../engine/contract.js';
import { EngineError } from '../engine/errors.js';
import { EventStream } from '../engine/event-stream.js';
import { EngineChild, type ReadyEngine } from './child.js';
import type { AdapterChange, EngineCall, RequestNews } from './messages.js';
import { fromPlainError } from './plain-error.js';
import { RestartDelay } from './restart-delay.js';

/** What became of the process of an engine. */
export type EngineNotice =
  /** It crashed. Its requests are lost; the next one starts after `delay` milliseconds. */
  | { readonly type: 'crashed'; readonly how: string; readonly lost: number; readonly delay: number }
  | { readonly type: 'restarted' }
  /** An adapter that the crashed process had cannot be loaded any more. */
  | {
      readonly type: 'adapter-lost';
      readonly model: string;
      readonly adapter: string;
      readonly error: unknown;
    }
  /** The next one did not become ready; another one starts after `delay` milliseconds. */
  | { readonly type: 'restart-failed'; readonly error: unknown; readonly delay: number };

export interface EngineProcessOptions {
  /** The file of a module in JavaScript that calls `runEngine`. */
  readonly module: URL;
  /** What its `create` gets: plain data. */
  readonly settings: unknown;
  /** Ends the first start: loading a large model takes a while. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((notice: EngineNotice) => void) | undefined;
}

/**
 * An engine in a process of its own: whoever talks to clients never waits for a step of a model. A process that
 * crashes is started again; its requests fail with the EngineError `unavailable`, and so do new ones until it is ready.
 * @throws what the module's `create` throws; EngineStartError when the process ends before it is ready
 */
export async function spawnEngine(options: EngineProcessOptions): Promise<Engine> {
  return new EngineProcess(
    options,
    await EngineChild.start(options.module, options.settings, options.signal),
  );
}

interface PendingRequest {
  readonly events: EventStream<GenerationEvent>;
  /** Stops listening to the signal of the request. */
  release(): void;
}

class EngineProcess implements Engine {
  /** Null between two processes. */
  private child: EngineChild | null = null;
  private cards: readonly ModelCard[] = [];
  private latest: EngineStats;
  private readonly requests = new Map<number, PendingRequest>();
  private readonly delays = new RestartDelay();
  private readonly closing = new AbortController();
  private restarting: Promise<void> | null = null;
  private startedAt = 0;
  private nextId = 1;
  /** The last one of each adapter. */
  private readonly changes = new Map<string, AdapterChange>();
  private readonly calls = new Map<number, PendingCall>();

  constructor(
    private readonly options: EngineProcessOptions,
    first: ReadyEngine,
  ) {
    this.latest = first.stats;
    this.use(first);
  }

  get isAvailable(): boolean {
    return this.child !== null && !this.closing.signal.aborted;
  }

  models(): readonly ModelCard[] {
    return this.cards;
  }

  stats(): EngineStats {
    return this.latest;
  }

  submit({ signal, ...request }: GenerationRequest): AsyncIterable<GenerationEvent> {
    const { child } = this;
    if (this.closing.signal.aborted) return refused(closed());
    if (!child) return refused(unavailable());
    const id = this.nextId++;
    const cancel = () => child.send({ type: 'cancel', id });
    const events = new EventStream<GenerationEvent>(() => {
      this.forget(id);
      cancel();
    });
    this.requests.set(id, { events, release: () => signal?.removeEventListener('abort', cancel) });
    child.send({ type: 'submit', id, request });
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
    return events;
  }

  async encode({ signal, ...request }: EncodingRequest): Promise<Encoding> {
    signal?.throwIfAborted();
    return (await this.call({ kind: 'encode', request }, signal)) as Encoding;
  }

  async loadModel(model: string): Promise<void> {
    await this.call({ kind: 'load-model', model });
  }

  async unloadModel(model: string): Promise<void> {
    await this.call({ kind: 'unload-model', model });
  }

  async loadAdapter(adapter: AdapterSource): Promise<void> {
    await this.change({ kind: 'load-adapter', adapter });
  }

  async unloadAdapter(adapter: AdapterName): Promise<void> {
    await this.change({ kind: 'unload-adapter', adapter });
  }

  async close(): Promise<void> {
    if (!this.closing.signal.aborted) this.closing.abort(closed());
    await this.restarting;
    await this.child?.close();
    this.failAll(closed());
  }

  /** A process that comes after this one is told the same. */
  private async change(change: AdapterChange): Promise<void> {
    await this.call(change);
    const { model, adapter } = change.adapter;
    this.changes.set(JSON.stringify([model, adapter]), change);
  }

  private call(call: EngineCall, signal?: AbortSignal, child = this.child): Promise<unknown> {
    if (this.closing.signal.aborted) return Promise.reject(closed());
    if (!child) return Promise.reject(unavailable());
    const id = this.nextId++;
    return new Promise((done, reject) => {
      const cancel = () => {
        child.send({ type: 'cancel', id });
        fail(signal?.reason);
      };
      const fail = (error: unknown) => {
        signal?.removeEventListener('abort', cancel);
        this.calls.delete(id);
        reject(error);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.calls.set(id, {
        fail,
        done: (result) => {
          signal?.removeEventListener('abort', cancel);
          this.calls.delete(id);
          done(result);
        },
      });
      child.send({ type: 'call', id, call });
    });
  }

  private use({ child, models, stats }: ReadyEngine): void {
    this.listen(child);
    this.cards = models;
    this.latest = stats;
    this.open(child);
  }

  private listen(child: EngineChild): void {
    child.onNews = ({ news, stats, models }) => {
      this.latest = stats;
      this.cards = models ?? this.cards;
      for (const each of news) this.take(each);
    };
  }

  /** Takes requests from now on. */
  private open(child: EngineChild): void {
    this.child = child;
    this.startedAt = performance.now();
    child.onExit = (how) => this.lose(how);
  }

  /** Gives a new process the adapters that the last one had. @throws EngineError when it ends meanwhile */
  private async restore({ child, models, stats }: ReadyEngine): Promise<void> {
    let ended = false;
    child.onExit = () => {
      ended = true;
      this.failAll(unavailable());
    };
    this.listen(child);
    this.cards = models;
    this.latest = stats;
    for (const [key, change] of this.changes) {
      try {
        await this.call(change, undefined, child);
      } catch (error) {
        if (ended) throw error;
        const isGone = error instanceof EngineError && error.code === 'unknown-adapter';
        if (change.kind === 'unload-adapter' && isGone) continue;
        this.changes.delete(key);
        this.options.onNotice?.({ type: 'adapter-lost', ...change.adapter, error });
      }
    }
    if (ended) throw unavailable();
    this.open(child);
  }

  private take(news: RequestNews): void {
    const call = this.calls.get(news.id);
    if (call && 'result' in news) call.done(news.result);
    if (call && 'error' in news) call.fail(fromPlainError(news.error));
    if (call || 'result' in news) return;
    const request = this.requests.get(news.id);
    if (!request) return; // its consumer has left
    if ('error' in news) {
      this.forget(news.id);
      request.events.fail(fromPlainError(news.error));
      return;
    }
    request.events.push(news.event);
    if (news.event.type !== 'finish') return;
    this.forget(news.id);
    request.events.end();
  }

  private forget(id: number): void {
    this.requests.get(id)?.release();
    this.requests.delete(id);
  }

  private failAll(error: EngineError): void {
    for (const [id, { events }] of [...this.requests]) {
      this.forget(id);
      events.fail(error);
    }
    for (const { fail } of [...this.calls.values()]) fail(error);
  }

  private lose(how: string): void {
    this.child = null;
    this.latest = { ...this.latest, waiting: 0, running: 0, cacheTokensHeld: 0, cacheTokensKept: 0 };
    if (this.closing.signal.aborted) return;
    const lost = this.requests.size + this.calls.size;
    this.failAll(unavailable());
    const delay = this.delays.after(performance.now() - this.startedAt);
    this.options.onNotice?.({ type: 'crashed', how, lost, delay });
    this.restarting = this.restart(delay).finally(() => {
      this.restarting = null;
    });
  }

  private async restart(delay: number): Promise<void> {
    const { module, settings, onNotice } = this.options;
    const { signal } = this.closing;
    for (let wait = delay; await slept(wait, signal); ) {
      try {
        await this.restore(await EngineChild.start(module, settings, signal));
        onNotice?.({ type: 'restarted' });
        return;
      } catch (error) {
        if (signal.aborted) return;
        wait = this.delays.after(0);
        onNotice?.({ type: 'restart-failed', error, delay: wait });
      }
    }
  }
}

interface PendingCall {
  done(result: unknown): void;
  fail(error: unknown): void;
}

/** Waits; false when the signal fires first. */
function slept(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve(!signal.aborted);
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

function unavailable(): EngineError {
  return new EngineError('unavailable', {
    what: 'the engine is being restarted',
    hint: 'Send the request again in a moment.',
  });
}

function closed(): EngineError {
  return new EngineError('closed', { what: 'the engine is closed' });
}

function refused(error: EngineError): AsyncIterable<GenerationEvent> {
  const stream = new EventStream<GenerationEvent>();
  stream.fail(error);
  return stream;
}
