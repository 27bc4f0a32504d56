import { createEngine, type Engine, runEngine } from '../../src/engine.js';
import { tinyModel } from './tiny.js';

/** What the tests tell the process of an engine. */
export interface Settings {
  /** A file of that name stands in the way of starting. */
  readonly obstacle?: string;
}

/** Ends the process at the prompt `crash`, as a fault in native code would: at once, without a word. */
function fragile(engine: Engine): Engine {
  return Object.create(engine, {
    submit: {
      value: (request: Parameters<Engine['submit']>[0]) => {
        if ('text' in request.prompt && request.prompt.text === 'crash') process.kill(process.pid, 'SIGKILL');
        return engine.submit(request);
      },
    },
  });
}

runEngine(async ({ obstacle }: Settings) => {
  const { existsSync } = await import('node:fs');
  if (obstacle && existsSync(obstacle)) throw new Error('something is in the way');
  return fragile(createEngine([tinyModel({ positions: 4096 })], { maxRunning: 4 }));
});
