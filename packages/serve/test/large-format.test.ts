import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, onTestFinished } from 'vitest';
import { CompiledFormats } from '../src/grammar/index.js';
import { createEngine } from '../src/index.js';
import { collect, run } from './support/collect.js';
import { byteTokenizer, tinyModel } from './support/tiny.js';

const large = (length: number) =>
  ({ type: 'json-schema', schema: { type: 'string', minLength: 1, maxLength: length } }) as const;

function start() {
  const engine = createEngine([tinyModel()]);
  onTestFinished(() => engine.close());
  return engine;
}

it('a format that takes long to compile does not hold up others', async () => {
  const engine = start();
  let tokens = 0;
  let tokensBefore = 0;
  const other = async () => {
    const prompt = { text: 'Hi' };
    for await (const { type } of engine.submit({
      model: 'tiny',
      prompt,
      maxTokens: 200,
      logprobs: 0,
      seed: 1,
    }))
      if (type === 'text') tokens++;
  };
  const formatted = async () => {
    const prompt = { text: 'Hi' };
    for await (const { type } of engine.submit({
      ...{ model: 'tiny', prompt, maxTokens: 20, format: large(50_000) },
    }))
      if (type === 'start') tokensBefore = tokens;
  };
  await Promise.all([other(), formatted()]);
  expect(tokensBefore).toBeGreaterThan(1);
});

it('requests that come while their format is compiled share it, and what is wrong with it reaches all', async () => {
  const engine = start();
  const texts = await Promise.all(
    [1, 1, 2].map((seed) => run(engine, { format: large(3000), maxTokens: 20, seed })),
  );
  expect(texts[0]).toEqual(texts[1]);
  for (const { text } of texts) expect(typeof JSON.parse(text)).toBe('string');
  const wrong = [1, 2].map(() => run(engine, { format: large(10 ** 6), maxTokens: 20 }));
  for (const each of wrong)
    await expect(each).rejects.toMatchObject({ code: 'invalid-request', what: 'the grammar is too large' });
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});

it('an engine that closes meanwhile says so', async () => {
  const engine = start();
  const answer = collect(
    engine.submit({ model: 'tiny', prompt: { text: 'Hi' }, maxTokens: 20, format: large(20_000) }),
  );
  await engine.close();
  await expect(answer).rejects.toMatchObject({ code: 'closed' });
});

it('the formats that are kept stay within 128 MiB, and take what they say', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const tokenizer = byteTokenizer();
  const compiled = new CompiledFormats(tokenizer, new Set(tokenizer.eosIds));
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  let most = 0;
  for (let i = 0; i < 16; i++) {
    compiled.constraint(large(20_000 + i), 30_000);
    most = Math.max(most, compiled.bytes);
  }
  collectGarbage();
  const taken = process.memoryUsage().heapUsed - before;
  expect(most).toBeLessThanOrEqual(2 ** 27);
  expect(compiled.bytes).toBeGreaterThan(2 ** 26);
  expect(taken / compiled.bytes).toBeGreaterThan(0.5);
  expect(taken / compiled.bytes).toBeLessThan(1.5);
});
