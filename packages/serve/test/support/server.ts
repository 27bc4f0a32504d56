import { onTestFinished } from 'vitest';
import {
  createEngine,
  createServer,
  type EngineLimits,
  type LoadedModel,
  type ServerOptions,
} from '../../src/index.js';
import { tinyModel } from './tiny.js';

/** A server that is not listening, over a real engine. */
export function startServer(options: ServerOptions & { models?: LoadedModel[]; limits?: EngineLimits } = {}) {
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

/** The `data:` lines of a stream; '[DONE]' stays text. */
export function eventsOf(body: string): any[] {
  return body
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => {
      if (!event.startsWith('data: ')) throw new Error(`not a data line: ${event}`);
      const data = event.slice('data: '.length);
      return data === '[DONE]' ? data : JSON.parse(data);
    });
}
