import type { Encoding, Engine, ModelCard } from '../engine/contract.js';
import type { EngineCall, FromEngine, RequestNews, SentRequest, ToEngine } from './messages.js';
import { toPlainError } from './plain-error.js';
import { boundYoungGeneration } from './young-generation.js';

/** How often numbers go out while nothing else does, such as while a long prompt is read; milliseconds. */
const statsInterval = 250;

/**
 * The other half of `spawnEngine`: the module that it starts calls this, once. `create` gets the settings that were
 * given there; what it throws, `spawnEngine` throws. The process ends with the one that started it.
 * @throws Error when this is no process that `spawnEngine` started
 */
export function runEngine<Settings>(create: (settings: Settings) => Engine | Promise<Engine>): void {
  if (!process.send) throw new Error('runEngine: this module is started by spawnEngine, not directly');
  boundYoungGeneration();
  let served: ServedEngine | null = null;
  // Ctrl-C reaches every process of a terminal, and so do the signals of a service manager: the one that started
  // this process decides what they mean, and lets running requests finish.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  process.on('disconnect', () => process.exit());
  process.on('message', (message: ToEngine) => {
    if (message.type === 'start') {
      start(create, message.settings as Settings).then((engine) => {
        served = engine;
      });
    } else if (message.type === 'close') void close(served);
    else served?.receive(message);
  });
}

async function start<Settings>(
  create: (settings: Settings) => Engine | Promise<Engine>,
  settings: Settings,
): Promise<ServedEngine | null> {
  try {
    const engine = await create(settings);
    send({ type: 'ready', models: engine.models(), stats: engine.stats() });
    return new ServedEngine(engine);
  } catch (error) {
    send({ type: 'not-started', error: toPlainError(error) });
    process.disconnect();
    return null;
  }
}

async function close(served: ServedEngine | null): Promise<void> {
  await served?.close();
  process.disconnect();
}

/** Runs the requests that arrive as messages, and sends their events in batches. */
class ServedEngine {
  private readonly cancellations = new Map<number, AbortController>();
  private news: RequestNews[] = [];
  private flushing: NodeJS.Immediate | null = null;
  private ticking: NodeJS.Timeout | null = null;

  private toldState = '';

  constructor(private readonly engine: Engine) {}

  receive(message: Extract<ToEngine, { id: number }>): void {
    if (message.type === 'submit') void this.run(message.id, message.request);
    else if (message.type === 'call') void this.call(message.id, message.call);
    else this.cancellations.get(message.id)?.abort();
  }

  async close(): Promise<void> {
    await this.engine.close();
    this.flush();
  }

  private async run(id: number, request: SentRequest): Promise<void> {
    const cancellation = new AbortController();
    this.cancellations.set(id, cancellation);
    this.ticking ??= setInterval(() => this.flush(), statsInterval);
    try {
      for await (const event of this.engine.submit({ ...request, signal: cancellation.signal })) {
        this.tell({ id, event });
      }
    } catch (error) {
      this.tell({ id, error: toPlainError(error) });
    } finally {
      this.cancellations.delete(id);
    }
  }

  private async call(id: number, call: EngineCall): Promise<void> {
    const cancellation = new AbortController();
    this.cancellations.set(id, cancellation);
    try {
      const result = await this.carryOut(call, cancellation.signal);
      this.tell({ id, result });
    } catch (error) {
      this.tell({ id, error: toPlainError(error) });
    } finally {
      this.cancellations.delete(id);
    }
  }

  private async carryOut(call: EngineCall, signal: AbortSignal): Promise<Encoding | undefined> {
    if (call.kind === 'encode') return this.engine.encode({ ...call.request, signal });
    if (call.kind === 'load-model') await this.engine.loadModel(call.model);
    if (call.kind === 'unload-model') await this.engine.unloadModel(call.model);
    if (call.kind === 'load-adapter') await this.engine.loadAdapter(call.adapter);
    if (call.kind === 'unload-adapter') await this.engine.unloadAdapter(call.adapter);
    return undefined;
  }

  private changedModels(): readonly ModelCard[] | undefined {
    const models = this.engine.models();
    const state = JSON.stringify(models.map(stateOf));
    if (state === this.toldState) return undefined;
    this.toldState = state;
    return models;
  }

  private tell(news: RequestNews): void {
    this.news.push(news);
    this.flushing ??= setImmediate(() => this.flush());
  }

  private flush(): void {
    if (this.flushing) clearImmediate(this.flushing);
    this.flushing = null;
    send({ type: 'news', news: this.news, stats: this.engine.stats(), models: this.changedModels() });
    this.news = [];
    if (this.cancellations.size > 0 || !this.ticking) return;
    clearInterval(this.ticking);
    this.ticking = null;
  }
}

/** What changes of a model while it is served. */
const stateOf = ({ name, loaded, adapters }: ModelCard) => [name, loaded, ...adapters];

function send(message: FromEngine): void {
  // The callback takes the error of a channel that has just closed: the process ends then anyway.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
