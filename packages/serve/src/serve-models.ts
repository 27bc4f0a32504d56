import type { AddressInfo } from 'node:net';
import { FrugalError } from '@frugal/tensor-core';
import { createEngine } from './engine/in-process-engine.js';
import type { EngineLimits } from './engine/limits.js';
import type { LoadedModel } from './engine/loaded-model.js';
import { createServer, type ServerOptions } from './server/server.js';

export interface ServeOptions extends ServerOptions {
  readonly models: readonly LoadedModel[];
  /** Default 127.0.0.1: only this machine. */
  readonly host?: string | undefined;
  /** Default 8080; 0: any free one. */
  readonly port?: number | undefined;
  readonly limits?: EngineLimits | undefined;
}

export interface RunningServer {
  /** Of the chat page; the API lies below it, at `v1/`. */
  readonly url: string;
  /** Refuses new requests, lets running ones finish (at most `drainTimeout`), then frees everything but the models. */
  close(): Promise<void>;
}

/** The server cannot listen where it was told to. */
export class ListenError extends FrugalError {}

/**
 * Serves loaded models with OpenAI's API and a chat page.
 * @throws ListenError when the port is taken or the host is not this machine's
 */
export async function serveModels({
  models,
  host = '127.0.0.1',
  port = 8080,
  limits,
  ...options
}: ServeOptions): Promise<RunningServer> {
  const engine = createEngine(models, limits);
  const server = createServer(engine, options);
  let closing: Promise<void> | null = null;
  const close = async () => {
    await server.close();
    await engine.close();
  };
  try {
    await server.listen({ host, port });
  } catch (cause) {
    await close();
    throw listenError(cause, host, port);
  }
  return {
    url: urlOf(server.addresses()[0] as AddressInfo),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
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

function urlOf({
  address,
  port,
  family,
}: {
  address: string;
  port: number;
  family: string | number;
}): string {
  const everywhere = address === '0.0.0.0' || address === '::';
  const host = everywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
  return `http://${host}:${port}/`;
}

function listenError(cause: unknown, host: string, port: number): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  const got = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    return new ListenError({
      where: 'serve',
      what: 'the port is in use',
      got,
      hint: 'Choose another one; 0 takes any free one.',
      cause,
    });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EACCES') {
    return new ListenError({ where: 'serve', what: `cannot listen there (${code})`, got, cause });
  }
  return cause;
}
