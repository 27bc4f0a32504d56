import { expectNoLeaks } from '@frugal/tensor-core';
import { promptLookup } from '@frugal/tensor-core/generation';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createEngine, type Engine, type EngineLimits, type GenerationRequest } from '../src/index.js';
import { type Collected, run, until } from './support/collect.js';
import { nativeBackend } from './support/native.js';
import { drawer } from './support/random.js';
import { bytesPerToken, tinyModel } from './support/tiny.js';

const beginning = 'It was the best of times, it was the worst of times, it was the age of wisdom. ';
const model = tinyModel();

/** Requests that begin alike, partly; of all lengths, priorities and kinds of sampling. */
function randomRequests(count: number, random: () => number): Partial<GenerationRequest>[] {
  return Array.from({ length: count }, (_, i) => ({
    prompt: { text: beginning.slice(0, Math.floor(random() * beginning.length)) + 'ab'.repeat(random() * 9) },
    maxTokens: 1 + Math.floor(random() * 50),
    temperature: random() < 0.5 ? 0 : 1,
    seed: i,
    priority: Math.floor(random() * 3),
    repetitionPenalty: random() < 0.3 ? 1.3 : 1,
  }));
}

/** What each request gives in an engine of its own: nothing beside it, nothing before it. */
async function alone(requests: readonly Partial<GenerationRequest>[], loaded = model): Promise<Collected[]> {
  const results: Collected[] = [];
  for (const request of requests) {
    const engine = createEngine([loaded]);
    results.push(await run(engine, request));
    await engine.close();
  }
  return results;
}

const textOf = ({ text, ids, reason }: Collected) => ({ text, ids, reason });

/** Submits all at random moments, cancels some others meanwhile, and expects of each what it gives alone. */
async function expectSame(
  engine: Engine,
  requests: readonly Partial<GenerationRequest>[],
  expected: readonly Collected[],
  random: () => number,
): Promise<void> {
  const results: Promise<Collected>[] = [];
  for (const request of requests) {
    results.push(run(engine, request));
    if (random() < 0.3) {
      const controller = new AbortController();
      const cancelled = run(engine, { ...request, maxTokens: 60, signal: controller.signal });
      setTimeout(() => controller.abort(), random() * 20);
      await cancelled;
    }
    const { steps, running } = engine.stats();
    const pause = Math.floor(random() * 6);
    if (running > 0) await until(() => engine.stats().steps >= steps + pause || engine.stats().running === 0);
  }
  expect((await Promise.all(results)).map(textOf)).toEqual(expected.map(textOf));
}

const schedules = [1, 2, 3, 4];

describe('results are those of each request alone', () => {
  it.each(schedules)(
    'in small memory, with hits, priorities and cancellations: schedule %i',
    async (seed) => {
      const random = drawer(seed);
      const requests = randomRequests(12, random);
      const expected = await alone(requests);
      const limits = {
        tokensPerStep: 16 + Math.floor(random() * 40),
        maxRunning: 2 + Math.floor(random() * 6),
      };
      await expectNoLeaks(async () => {
        const engine = createEngine([{ ...model, contextLength: 160 }], {
          ...limits,
          cacheBytes: 192 * bytesPerToken,
        });
        await expectSame(engine, requests, expected, random);
        const { preemptions, cachedTokens, cacheTokensHeld } = engine.stats();
        expect(preemptions).toBeGreaterThan(0);
        expect(cachedTokens).toBeGreaterThan(0);
        expect(cacheTokensHeld).toBe(0);
        await engine.close();
      });
    },
  );

  it('with guesses', async () => {
    const random = drawer(9);
    const requests = randomRequests(10, random);
    const expected = await alone(requests);
    const engine = createEngine([{ ...model, contextLength: 160, draft: promptLookup({ shortest: 1 }) }], {
      cacheBytes: 192 * bytesPerToken,
      maxRunning: 4,
    });
    onTestFinished(() => engine.close());
    await expectSame(engine, requests, expected, random);
    const { draftTokens, draftTokensAccepted } = engine.stats();
    expect(draftTokensAccepted).toBeGreaterThan(0);
    expect(draftTokens).toBeGreaterThan(draftTokensAccepted);
  });

  it('on the native backend', async (context) => {
    const backend = nativeBackend();
    if (!backend) return context.skip('needs the native addon');
    const random = drawer(10);
    const requests = randomRequests(12, random);
    const native = tinyModel({ backend });
    const expected = await alone(requests, native);
    const engine = createEngine([{ ...native, contextLength: 160 }], {
      cacheBytes: 192 * bytesPerToken,
      maxRunning: 5,
    });
    onTestFinished(() => engine.close());
    await expectSame(engine, requests, expected, random);
    expect(engine.stats().preemptions).toBeGreaterThan(0);
  });
});

describe('prefixes', () => {
  function startEngine(limits: EngineLimits = {}) {
    const engine = createEngine([model], limits);
    onTestFinished(() => engine.close());
    return engine;
  }
  const ids = (count: number, from = 0) => Array.from({ length: count }, (_, i) => (i * 7 + from) % 250);

  it('are computed once, whole pages of them', async () => {
    const engine = startEngine();
    const first = await run(engine, { prompt: { ids: [...ids(100), 1] }, maxTokens: 1 });
    const second = await run(engine, { prompt: { ids: [...ids(100), 2] }, maxTokens: 1 });
    expect([first, second].map(({ usage }) => usage.cachedTokens)).toEqual([0, 96]);
  });

  it('include answers: the next turn of a conversation reads only what is new', async () => {
    const engine = startEngine();
    const first = await run(engine, { prompt: { ids: ids(40) }, maxTokens: 40, temperature: 0 });
    const next = { prompt: { ids: [...ids(40), ...first.ids, 1, 2, 3] }, maxTokens: 10, temperature: 0 };
    const { usage, ...result } = await run(engine, next);
    expect(usage.cachedTokens).toBe(Math.floor((40 + first.ids.length - 1) / 16) * 16);
    expect(result).toEqual({ ...(await alone([next]))[0], usage: undefined });
  });

  it('are computed once for requests that come together', async () => {
    const engine = startEngine({ tokensPerStep: 32, maxRunning: 8 });
    const same = { prompt: { ids: ids(129) }, maxTokens: 2, temperature: 0 };
    const results = await Promise.all(Array.from({ length: 8 }, () => run(engine, same)));
    expect(results.map(({ usage }) => usage.cachedTokens)).toEqual([0, ...new Array(7).fill(128)]);
    expect(new Set(results.map(({ text }) => text)).size).toBe(1);
  });

  it('leave when memory is needed', async () => {
    const engine = startEngine({ cacheBytes: 256 * bytesPerToken });
    for (let i = 0; i < 8; i++) await run(engine, { prompt: { ids: ids(100, i) }, maxTokens: 1 });
    const [last, first] = [7, 0].map((i) => run(engine, { prompt: { ids: ids(100, i) }, maxTokens: 1 }));
    expect([(await last).usage.cachedTokens, (await first).usage.cachedTokens]).toEqual([96, 0]);
  });
});

describe('priorities', () => {
  it('let an urgent request take the place of another one', async () => {
    const engine = createEngine([model], { maxRunning: 1 });
    onTestFinished(() => engine.close());
    const order: string[] = [];
    const slow = run(engine, { maxTokens: 60, seed: 1 }).then((result) => {
      order.push('slow');
      return result;
    });
    await until(() => engine.stats().steps > 3);
    await run(engine, { maxTokens: 20, priority: 1 }).then(() => order.push('urgent'));
    const [expected] = await alone([{ maxTokens: 60, seed: 1 }]);
    expect(textOf(await slow)).toEqual(textOf(expected));
    expect(order).toEqual(['urgent', 'slow']);
    expect(engine.stats().preemptions).toBe(1);
  });

  it('are integers', async () => {
    const engine = createEngine([model]);
    onTestFinished(() => engine.close());
    await expect(run(engine, { priority: 0.5 })).rejects.toMatchObject({ code: 'invalid-request' });
  });
});
