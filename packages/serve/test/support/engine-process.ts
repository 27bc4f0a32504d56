import { AdapterBank } from '@frugal/lora';
import { Random, scope } from '@frugal/tensor-core';
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
  const loaded = tinyModel({ positions: 4096 });
  const adapters = new AdapterBank(loaded.model);
  const loadAdapter = async (name: string, source: string) => {
    if (existsSync(source)) throw new Error('the adapter is broken');
    const random = new Random(7);
    const matrix = (rows: number, columns: number) => random.normal([rows, columns]).mul(2);
    scope(() =>
      adapters.add(
        name,
        new Map([['blocks.1.mlp.down', { down: matrix(4, 48), up: matrix(32, 4), scale: 1 }]]),
      ),
    );
  };
  return fragile(createEngine([{ ...loaded, adapters, loadAdapter }], { maxRunning: 4 }));
});
