import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import type { Backend } from '@frugal/tensor-core';
import { expect, it, onTestFinished } from 'vitest';
import { createEngine, type EngineLimits } from '../src/index.js';
import { requests, run } from './support/collect.js';
import { tinyModel } from './support/tiny.js';

function nativeBackend(): Backend | null {
  try {
    return cpuBackend({ threads: 2, minimumWork: 0 });
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return null;
    throw error;
  }
}

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
