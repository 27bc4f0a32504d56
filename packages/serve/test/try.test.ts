import { expect, it } from 'vitest';
import { createEngine } from '../src/index.js';
import { tinyModel } from './support/tiny.js';

it('runs', async () => {
  const engine = createEngine([tinyModel()]);
  for await (const event of engine.submit({
    model: 'tiny',
    prompt: { text: 'abc' },
    maxTokens: 8,
    seed: 1,
    logprobs: 2,
  }))
    console.log(JSON.stringify(event));
  await engine.close();
});
