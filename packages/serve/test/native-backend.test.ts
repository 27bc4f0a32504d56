import { expect, it, onTestFinished } from 'vitest';
import { createEngine, type EngineLimits } from '../src/index.js';
import { requests, run } from './support/collect.js';
import { nativeBackend } from './support/native.js';
import { tinyModel } from './support/tiny.js';

it('gives the same tokens alone, in a batch, and with prompts cut into chunks', async (context) => {
  const backend = nativeBackend();
  if (!backend) return context.skip('needs the native addon');
  const model = tinyModel({ backend });
  const start = (limits: EngineLimits) => {
    const engine = createEngine([model], limits);
    onTestFinished(() => engine.close());
    return engine;
  };
  const alone = start({ maxRunning: 1 });
  const expected: unknown[] = [];
  for (const request of requests) expected.push(await run(alone, request));
  for (const limits of [{}, { tokensPerStep: 5, maxRunning: 5 }]) {
    const engine = start(limits);
    expect(await Promise.all(requests.map((request) => run(engine, request)))).toEqual(expected);
  }
});
