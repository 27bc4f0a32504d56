import type { Engine } from './engine/contract.js';
import { createEngine } from './engine/in-process-engine.js';
import type { EngineLimits } from './engine/limits.js';
import type { ServedModel } from './engine/model-source.js';
import { type ListenOptions, listen } from './server/listen.js';
import { createServer, type ServerOptions } from './server/server.js';

export interface ServeEngineOptions extends ServerOptions, ListenOptions {}

export interface ServeOptions extends ServeEngineOptions {
  readonly models: readonly ServedModel[];
  readonly limits?: EngineLimits | undefined;
}

export interface RunningServer {
  /** Of the chat page; the API lies below it, at `v1/`. */
  readonly url: string;
  /** Refuses new requests, lets running ones finish (at most `drainTimeout`), then frees everything but the models. */
  close(): Promise<void>;
}

/**
 * Serves loaded models, from this process, with OpenAI's API and a chat page. Every answer waits while a step is
 * computed: a server for many should have its engine elsewhere, see `spawnEngine`.
 * @throws ListenError when the port is taken or the host is not this machine's
 */
export async function serveModels({ models, limits, ...options }: ServeOptions): Promise<RunningServer> {
  return serveEngine(createEngine(models, limits), options);
}

/**
 * Serves an engine, which it closes at the end, also when it cannot listen.
 * @throws ListenError when the port is taken or the host is not this machine's
 */
export async function serveEngine(engine: Engine, options: ServeEngineOptions = {}): Promise<RunningServer> {
  const { host, port, ...rest } = options;
  let closing: Promise<void> | null = null;
  const server = createServer(engine, rest);
  const close = async () => {
    await server.close();
    await engine.close();
  };
  try {
    const url = await listen(server, { host, port });
    return {
      url,
      close: () => {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Closes the server at the first SIGINT or SIGTERM; resolves when it is closed. A second signal then does what it
 * does without us: it ends the process.
 */
export async function closeOnSignal(
  server: RunningServer,
  signals: NodeJS.EventEmitter = process,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const names = ['SIGINT', 'SIGTERM'];
    const first = () => {
      for (const name of names) signals.off(name, first);
      resolve();
    };
    for (const name of names) signals.on(name, first);
  });
  await server.close();
}
