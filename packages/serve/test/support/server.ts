import { onTestFinished } from 'vitest';
import {
  createEngine,
  createServer,
  type EngineLimits,
  type LoadedEncoder,
  type LoadedModel,
  type ServerOptions,
} from '../../src/index.js';
import { tinyModel } from './tiny.js';

/** A server that is not listening, over a real engine. */
export function startServer(
  options: ServerOptions & { models?: (LoadedModel | LoadedEncoder)[]; limits?: EngineLimits } = {},
) {
  const { models = [tinyModel()], limits, ...rest } = options;
  const engine = createEngine(models, limits);
  const app = createServer(engine, rest);
  onTestFinished(async () => {
    await app.close();
    await engine.close();
  });
  const post = (url: string, body: unknown) => app.inject({ method: 'POST', url, payload: body as object });
  return { app, engine, post };
}

/** Of a streamed answer, what tests look at. */
export interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly delta?: { readonly role?: string; readonly content?: string };
    readonly logprobs: { readonly content: readonly unknown[] } | null;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object | null;
  readonly error?: { readonly code: string };
}

/** The events of a stream, and whether it was ended with [DONE]. */
export function readStream(body: string): { chunks: Chunk[]; done: boolean } {
  const data = body
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => {
      if (!event.startsWith('data: ')) throw new Error(`not a data line: ${event}`);
      return event.slice('data: '.length);
    });
  const done = data.at(-1) === '[DONE]';
  return { chunks: (done ? data.slice(0, -1) : data).map((chunk) => JSON.parse(chunk)), done };
}

/** All text of one answer. */
export function textOf(chunks: readonly Chunk[], index = 0): string {
  const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
  return own.map(({ text, delta }) => text ?? delta?.content ?? '').join('');
}
