import { expectNoLeaks, memoryUsage } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { chatTemplate } from '@frugal/tokenizers';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createEngine,
  type EngineLimits,
  type GenerationEvent,
  type GenerationRequest,
} from '../src/index.js';
import { collect, requests, run, until } from './support/collect.js';
import { brokenModel, bytesPerToken, byteTokenizer, chatModel, tinyModel } from './support/tiny.js';

const model = tinyModel();

function startEngine(limits: EngineLimits = {}, models = [model]) {
  const engine = createEngine(models, limits);
  onTestFinished(() => engine.close());
  return engine;
}

describe('results', () => {
  it('are those of plain generation', async () => {
    const engine = startEngine();
    const prompt = [72, 101, 108, 108, 111];
    const sampling = { temperature: 0.9, topP: 0.9, seed: 11 };
    const { ids } = await run(engine, { prompt: { ids: prompt }, maxTokens: 20, ...sampling });
    const expected: number[] = [];
    const stopIds = [...model.tokenizer.eosIds];
    for await (const id of generate(model.model, prompt, { maxTokens: 20, stopIds, ...sampling }))
      expected.push(id);
    expect(ids).toEqual(expected.filter((id) => !stopIds.includes(id)));
    expect(ids.length).toBeGreaterThan(1);
  });

  it('are the same alone, in a batch, and with prompts cut into chunks', async () => {
    const alone = startEngine({ maxRunning: 1 });
    const expected: unknown[] = [];
    for (const request of requests) expected.push(await run(alone, request));

    const together = startEngine();
    expect(await Promise.all(requests.map((request) => run(together, request)))).toEqual(expected);
    const inChunks = startEngine({ tokensPerStep: 5, maxRunning: 5 });
    expect(await Promise.all(requests.map((request) => run(inChunks, request)))).toEqual(expected);
  });

  it('do not depend on what arrives or leaves meanwhile', async () => {
    const engine = startEngine();
    const expected = await run(engine, { maxTokens: 40, seed: 7 });
    const again = run(engine, { maxTokens: 40, seed: 7 });
    await until(() => engine.stats().running === 1);
    const other = new AbortController();
    // Greedy text of this model does not end: what is drawn without a seed may.
    const cancelled = run(engine, { maxTokens: 100, temperature: 0, signal: other.signal });
    await run(engine, { maxTokens: 3 });
    other.abort();
    expect(await again).toEqual(expected);
    expect((await cancelled).reason).toBe('abort');
  });

  it('repeat with a seed and differ without', async () => {
    const engine = startEngine();
    const seeded = await Promise.all([1, 2].map(() => run(engine, { maxTokens: 30, seed: 5 })));
    expect(seeded[0]).toEqual(seeded[1]);
    const free = await Promise.all([1, 2].map(() => run(engine, { maxTokens: 30, seed: undefined })));
    expect(free[0].ids).not.toEqual(free[1].ids);
  });

  it('report probabilities that sum to one', async () => {
    const engine = startEngine();
    const events: GenerationEvent[] = [];
    for await (const event of engine.submit({
      model: 'tiny',
      prompt: { text: 'a' },
      maxTokens: 1,
      logprobs: 260,
      seed: 1,
    })) {
      events.push(event);
    }
    const [token] = events.flatMap((event) => (event.type === 'text' ? (event.logprobs ?? []) : []));
    expect(token.top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 5);
    expect(token.top.map(({ logprob }) => logprob)).toEqual(
      token.top.map(({ logprob }) => logprob).sort((a, b) => b - a),
    );
    expect(token.top.find(({ id }) => id === token.id)?.logprob).toBe(token.logprob);
  });
});

describe('the end of a text', () => {
  it('comes before a stop string, wherever tokens are cut', async () => {
    const engine = startEngine();
    const { text } = await run(engine, { maxTokens: 40, temperature: 0 });
    expect(text.length).toBeGreaterThan(6);
    const stop = text.slice(3, 6);
    const stopped = await run(engine, { maxTokens: 40, temperature: 0, stop: ['never there', stop] });
    expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), reason: 'stop' });
  });

  it('comes with the last allowed token', async () => {
    const engine = startEngine();
    const result = await run(engine, { maxTokens: 7, temperature: 0 });
    expect(result).toMatchObject({ reason: 'length', usage: { completionTokens: 7 } });
    expect(result.ids).toHaveLength(7);
  });

  it('comes with an end-of-text token, which is counted and not shown', async () => {
    const plain = startEngine();
    const { ids } = await run(plain, { maxTokens: 12, temperature: 0 });
    const stopId = ids.find((id, i) => ids.indexOf(id) === i && i > 1) as number;
    const at = ids.indexOf(stopId);
    const engine = startEngine({}, [tinyModel({ stopIds: [stopId] })]);
    const result = await run(engine, { maxTokens: 12, temperature: 0 });
    expect(result).toMatchObject({
      ids: ids.slice(0, at),
      reason: 'stop',
      usage: { completionTokens: at + 1 },
    });
  });

  it('comes at the end of the context when no limit is given', async () => {
    const engine = startEngine({}, [tinyModel({ contextLength: 20 })]);
    const { usage, reason } = await run(engine, { prompt: { ids: [1, 2, 3] }, temperature: 0 });
    expect(reason).toBe('length');
    expect(usage).toEqual({ promptTokens: 3, cachedTokens: 0, completionTokens: 17 });
  });
});

describe('refusals', () => {
  it.each<[string, Partial<GenerationRequest>]>([
    ['unknown-model', { model: 'other' }],
    ['no-chat-template', { prompt: { messages: [{ role: 'user', content: 'Hi' }] } }],
    ['invalid-request', { prompt: { ids: [] } }],
    ['invalid-request', { prompt: { ids: [5, 260] } }],
    ['invalid-request', { prompt: { ids: [-1] } }],
    ['invalid-request', { temperature: -1 }],
    ['invalid-request', { topP: 0 }],
    ['invalid-request', { seed: 0.5 }],
    ['invalid-request', { maxTokens: 0 }],
    ['invalid-request', { stop: [''] }],
    ['context-length-exceeded', { prompt: { ids: new Array(256).fill(1) } }],
    ['context-length-exceeded', { prompt: { ids: new Array(250).fill(1) }, maxTokens: 7 }],
  ])('%s: %j', async (code, request) => {
    const engine = startEngine();
    await expect(run(engine, request)).rejects.toMatchObject({ name: 'EngineError', code });
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0, finished: 0 });
  });

  it('come when the queue is full', async () => {
    const engine = startEngine({ maxRunning: 1, maxWaiting: 1 });
    const first = run(engine, { maxTokens: 5 });
    await until(() => engine.stats().running === 1);
    const second = run(engine, { maxTokens: 5 });
    await expect(run(engine, { maxTokens: 5 })).rejects.toMatchObject({ code: 'overloaded' });
    await Promise.all([first, second]);
    await run(engine, { maxTokens: 5 });
  });

  it.each([{ maxRunning: 0 }, { tokensPerStep: 4, maxRunning: 8 }, { cacheBytes: 10 }, { maxWaiting: 1.5 }])(
    'of limits that cannot be: %j',
    (limits) => {
      expect(() => createEngine([model], limits)).toThrow('[engine]');
    },
  );

  it('of a context that the model cannot read', () => {
    expect(() => createEngine([tinyModel({ contextLength: 257 })])).toThrow('got 257; expected at most 256');
  });

  it('of a tokenizer that belongs to another model', () => {
    const tokenizer = { ...byteTokenizer(), vocabularySize: 300 };
    expect(() => createEngine([tinyModel({ tokenizer })])).toThrow('the tokenizer of tiny has ids');
  });

  it('of messages that the template does not take', async () => {
    const source = "{{ raise_exception('no system messages') }}";
    const refusing = chatTemplate(model.tokenizer, { source });
    const engine = startEngine({}, [tinyModel({ chatTemplate: refusing })]);
    const prompt = { messages: [{ role: 'system', content: 'a' }] };
    await expect(run(engine, { prompt })).rejects.toMatchObject({ code: 'invalid-request' });
    await expect(run(engine, { prompt })).rejects.toThrow('no system messages');
  });

  it('of two models with one name', () => {
    const before = memoryUsage().storages;
    expect(() => createEngine([model, model])).toThrow('two models have one name');
    expect(memoryUsage().storages).toBe(before);
  });
});

describe('model cards', () => {
  const plain = chatTemplate(model.tokenizer, {
    source: '{% for m in messages %}{{ m.content }}{% endfor %}',
  });

  it.each([
    ['without a template', tinyModel(), { chat: false, roles: false }],
    ['with a template of its own', chatModel(), { chat: true, roles: true }],
    ['with a template switched off', chatModel({ chatTemplate: null }), { chat: false, roles: false }],
    ['with a template that joins messages', tinyModel({ chatTemplate: plain }), { chat: true, roles: false }],
  ])('tell what a model %s can do', (_, loaded, expected) => {
    expect(startEngine({}, [loaded]).models()).toMatchObject([
      { name: 'tiny', contextLength: 256, ...expected },
    ]);
  });
});

describe('memory', () => {
  it('limits who runs; all finish', async () => {
    const engine = startEngine({ cacheBytes: 96 * bytesPerToken }, [tinyModel({ contextLength: 64 })]);
    const results = [20, 30, 10, 25].map(async (maxTokens) => {
      const prompt = { ids: new Array(30).fill(65) };
      const result = await run(engine, { prompt, maxTokens, temperature: 0 });
      const { cacheTokens, cacheTokensHeld, cacheTokensKept } = engine.stats();
      expect(cacheTokensHeld + cacheTokensKept).toBeLessThanOrEqual(cacheTokens);
      return result;
    });
    expect((await Promise.all(results)).map(({ usage }) => usage.completionTokens)).toEqual([20, 30, 10, 25]);
    expect(engine.stats()).toMatchObject({ cacheTokens: 96, cacheTokensHeld: 0, finished: 4 });
  });

  it('bounds the context that the model card promises', () => {
    const engine = startEngine({ cacheBytes: 40 * bytesPerToken });
    expect(engine.models()).toMatchObject([{ name: 'tiny', contextLength: 32, chat: false }]);
  });

  it('is all given back', async () => {
    await expectNoLeaks(async () => {
      const engine = createEngine([model]);
      await Promise.all(requests.map((request) => run(engine, request)));
      const cancelled = run(engine, { maxTokens: 100 });
      await until(() => engine.stats().running === 1);
      await engine.close();
      expect((await cancelled).reason).toBe('abort');
    });
  });
});

describe('cancellation', () => {
  it('frees the place of a running request', async () => {
    const engine = startEngine({ maxRunning: 1 });
    const controller = new AbortController();
    const running = run(engine, { maxTokens: 200, signal: controller.signal });
    const waiting = run(engine, { maxTokens: 2 });
    await until(() => engine.stats().running === 1);
    controller.abort();
    expect((await running).reason).toBe('abort');
    expect((await waiting).usage.completionTokens).toBe(2);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0, cacheTokensHeld: 0 });
  });

  it('takes a waiting request out of the queue', async () => {
    const engine = startEngine({ maxRunning: 1 });
    const first = run(engine, { maxTokens: 20 });
    const controller = new AbortController();
    const waiting = run(engine, { maxTokens: 20, signal: controller.signal });
    await until(() => engine.stats().running === 1);
    expect(engine.stats().waiting).toBe(1);
    controller.abort();
    expect(await waiting).toMatchObject({ reason: 'abort', usage: { completionTokens: 0 } });
    expect(engine.stats().waiting).toBe(0);
    await first;
  });

  it('happens at once with a signal that has fired', async () => {
    const engine = startEngine();
    expect((await run(engine, { signal: AbortSignal.abort() })).reason).toBe('abort');
  });

  it('follows when the caller leaves the loop', async () => {
    const engine = startEngine();
    for await (const event of engine.submit({ model: 'tiny', prompt: { text: 'a' }, maxTokens: 200 })) {
      if (event.type === 'text') break;
    }
    await until(() => engine.stats().running === 0);
    expect(engine.stats().completionTokens).toBeLessThan(200);
  });
});

describe('failures', () => {
  it('cost the requests of the step, not the engine', async () => {
    const engine = startEngine({}, [tinyModel(), brokenModel()]);
    const healthy = run(engine, { maxTokens: 10 });
    await expect(run(engine, { model: 'broken' })).rejects.toMatchObject({ code: 'failed' });
    expect((await healthy).reason).toBeDefined();
    await expect(run(engine, { model: 'broken' })).rejects.toMatchObject({ code: 'failed' });
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, cacheTokensHeld: 0 });
  });
});

describe('fairness', () => {
  it('lets a short request pass while a long prompt is read', async () => {
    const engine = startEngine({ tokensPerStep: 8, maxRunning: 4 });
    const order: string[] = [];
    const long = run(engine, { prompt: { ids: new Array(240).fill(65) }, maxTokens: 1 }).then(() =>
      order.push('long'),
    );
    await until(() => engine.stats().steps > 0);
    const short = run(engine, { prompt: { ids: [66] }, maxTokens: 3 }).then(() => order.push('short'));
    await Promise.all([long, short]);
    expect(order).toEqual(['short', 'long']);
  });
});

describe('close', () => {
  it('ends what runs and refuses what comes', async () => {
    const engine = createEngine([model]);
    const running = run(engine, { maxTokens: 200 });
    await until(() => engine.stats().running === 1);
    await engine.close();
    expect((await running).reason).toBe('abort');
    await expect(collect(engine.submit({ model: 'tiny', prompt: { text: 'a' } }))).rejects.toMatchObject({
      code: 'closed',
    });
    await engine.close();
  });
});
