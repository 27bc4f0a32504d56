import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { FrugalError } from '@frugal/tensor-core';
import type { EngineStats, ModelCard } from '../engine/contract.js';
import type { FromEngine, ToEngine } from './messages.js';
import { fromPlainError } from './plain-error.js';

/** The process of an engine ended before it was ready. */
export class EngineStartError extends FrugalError {}

export interface ReadyEngine {
  readonly child: EngineChild;
  readonly models: readonly ModelCard[];
  readonly stats: EngineStats;
}

type News = Extract<FromEngine, { type: 'news' }>;

/** Lower than ordinary priority. */
const engineNiceness = 2;

/** How long a process may take to end when it was asked to, in milliseconds. */
const closeTimeout = 5000;

/** One process with an engine, from its start to its end. */
export class EngineChild {
  onNews: (news: News) => void = () => {};
  /** Called when the process has ended, whatever the reason. */
  onExit: (how: string) => void = () => {};
  private readonly process: ChildProcess;

  private constructor(module: URL) {
    this.process = fork(fileURLToPath(module), [], {
      serialization: 'advanced',
      execArgv: [], // flags of Node that are meant for both are in NODE_OPTIONS
      stdio: ['ignore', 2, 2, 'ipc'], // what the engine prints is no result of this program: it goes to its errors
    });
    // The engine would keep every core busy: answering must not wait for its turn.
    if (this.process.pid) setPriority(this.process.pid, engineNiceness);
    this.process.on('error', () => {}); // a failed start or send; `exit` tells what came of it
    this.process.on('message', (message: FromEngine) => {
      if (message.type === 'news') this.onNews(message);
    });
    this.process.once('exit', (code, signal) => this.onExit(signal ?? `exit code ${code}`));
  }

  /** @throws what the module's `create` throws, EngineStartError when the process ends, or the signal's reason */
  static async start(module: URL, settings: unknown, signal?: AbortSignal): Promise<ReadyEngine> {
    signal?.throwIfAborted();
    const child = new EngineChild(module);
    const stop = () => child.process.kill('SIGKILL');
    signal?.addEventListener('abort', stop);
    try {
      child.send({ type: 'start', settings });
      const { models, stats } = await child.ready();
      return { child, models, stats };
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  send(message: ToEngine): void {
    if (this.process.connected) this.process.send(message, () => {});
  }

  async close(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.send({ type: 'close' });
    const timer = setTimeout(() => this.process.kill('SIGKILL'), closeTimeout);
    await ended;
    clearTimeout(timer);
  }

  private ready(): Promise<Extract<FromEngine, { type: 'ready' }>> {
    return new Promise((resolve, reject) => {
      this.process.on('message', (message: FromEngine) => {
        if (message.type === 'ready') resolve(message);
        if (message.type === 'not-started') reject(fromPlainError(message.error));
      });
      const ended = (got: string) =>
        new EngineStartError({
          where: 'engine process',
          what: 'it ended before it was ready',
          got,
          hint: 'What it printed says why; out of memory, if it printed nothing.',
        });
      this.process.once('error', (cause) => reject(cause));
      this.process.once('exit', (code, signal) => reject(ended(signal ?? `exit code ${code}`)));
    });
  }
}
