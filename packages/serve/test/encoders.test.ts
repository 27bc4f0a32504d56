import { noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createEngine, type EngineLimits, type LoadedEncoder, type LoadedModel } from '../src/index.js';
import { tinyModel } from './support/tiny.js';
import { tinyEncoder } from './support/tiny-encoder.js';

const texts = ['Hello', 'A much longer text than the others', 'x', '三国'];

function start(models: (LoadedModel | LoadedEncoder)[], limits: EngineLimits = {}) {
  const engine = createEngine(models, limits);
  onTestFinished(() => engine.close());
  const embed = async (inputs: readonly string[], more: object = {}) =>
    (
      await engine.encode({
        ...{ model: 'embedder', task: 'embed', ...more },
        inputs: inputs.map((text) => ({ text })),
      })
    ).rows;
  return { engine, embed };
}

/** What the model computes for one text alone. */
function direct({ encoder, tokenizer }: LoadedEncoder, text: string): Promise<Float32Array> {
  const batch = stepBatch([tokenizer.encode(text)], { vocabularySize: encoder.vocabularySize });
  return scope(() => noGrad(() => encoder.forward(batch).pool('mean'))).toFloat32();
}

describe('an encoder', () => {
  it('gives each text the vector that it has alone, whatever else is asked', async () => {
    const loaded = tinyEncoder();
    const { embed, engine } = start([loaded], { tokensPerStep: 24, maxRunning: 1 });
    const alone = await Promise.all(texts.map((text) => direct(loaded, text)));
    const [together, reversed] = await Promise.all([embed(texts), embed([...texts].reverse())]);
    expect(together).toEqual(alone);
    expect(reversed).toEqual([...alone].reverse());
    expect(engine.stats()).toMatchObject({ finished: 2, waiting: 0, running: 0 });
    expect(engine.models()).toMatchObject([{ task: 'embed', dimensions: 32, contextLength: 64 }]);
  });

  it('normalizes where it is told to', async () => {
    const [plain] = await start([tinyEncoder()]).embed(['Hello']);
    const [unit] = await start([tinyEncoder({ normalize: true })]).embed(['Hello']);
    expect(Math.hypot(...unit)).toBeCloseTo(1, 6);
    expect(unit[3]).toBeCloseTo(plain[3] / Math.hypot(...plain), 6);
  });

  it('puts its prefix before a text, and cuts only where that is asked for', async () => {
    const plain = start([tinyEncoder()]);
    const prefixed = start([tinyEncoder({ prefix: 'query: ', lowerCase: true })]);
    expect(await prefixed.embed(['HELLO'])).toEqual(await plain.embed(['query: hello']));
    const long = 'a'.repeat(100);
    await expect(plain.embed(['short', long])).rejects.toMatchObject({ code: 'context-length-exceeded' });
    expect(await plain.embed([long], { truncate: 10 })).toEqual(await plain.embed(['a'.repeat(9)]));
    await expect(plain.embed([long], { truncate: 65 })).rejects.toMatchObject({ code: 'invalid-request' });
  });

  it('tells classes, as probabilities or as they come', async () => {
    const classify = async (loaded: LoadedEncoder, more: object = {}) => {
      const request = { model: 'classifier', task: 'classify', inputs: [{ text: 'Hello' }] } as const;
      return (await start([loaded]).engine.encode({ ...request, ...more })).rows[0];
    };
    const scores = await classify(tinyEncoder({ classes: 3 }), { activation: false });
    const soft = await classify(tinyEncoder({ classes: 3 }));
    expect(soft.reduce((sum, each) => sum + each, 0)).toBeCloseTo(1, 6);
    expect(soft[1] / soft[0]).toBeCloseTo(Math.exp(scores[1] - scores[0]), 5);
    const each = await classify(tinyEncoder({ classes: 3, activation: 'sigmoid' }));
    expect(each[0]).toBeCloseTo(1 / (1 + Math.exp(-scores[0])), 6);
  });

  it('lets requests take turns, the urgent ones first', async () => {
    const { embed } = start([tinyEncoder()], { tokensPerStep: 8, maxRunning: 1 });
    const order: string[] = [];
    const ask = async (name: string, count: number, priority = 0) => {
      await embed(new Array(count).fill('Hello'), { priority });
      order.push(name);
    };
    await Promise.all([ask('long', 20), ask('short', 2), ask('urgent', 3, 1)]);
    expect(order).toEqual(['urgent', 'short', 'long']);
  });

  it('stops reading for whoever went away', async () => {
    const { embed, engine } = start([tinyEncoder()], { tokensPerStep: 8, maxRunning: 1 });
    const controller = new AbortController();
    const gone = embed(new Array(500).fill('Hello'), { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('gone')));
    await expect(gone).rejects.toThrow('gone');
    expect(engine.stats().steps).toBeLessThan(50);
    expect(await embed(['Hello'])).toHaveLength(1);
  });

  it.each([
    [{ task: 'classify' }, 'wrong-task'],
    [{ model: 'tiny' }, 'wrong-task'],
    [{ model: 'other' }, 'unknown-model'],
    [{ inputs: [] }, 'invalid-request'],
    [{ inputs: [{ ids: [] }] }, 'invalid-request'],
    [{ inputs: [{ ids: [260] }] }, 'invalid-request'],
    [{ inputs: [{ ids: [1.5] }] }, 'invalid-request'],
    [{ priority: 0.5 }, 'invalid-request'],
  ])('refuses %j', async (change, code) => {
    const { engine } = start([tinyEncoder(), tinyModel()]);
    const request = { model: 'embedder', task: 'embed', inputs: [{ text: 'Hello' }] } as const;
    await expect(engine.encode({ ...request, ...(change as object) })).rejects.toMatchObject({ code });
  });

  it('writes no text, takes no adapter, and ends with its engine', async () => {
    const { engine, embed } = start([tinyEncoder()], { tokensPerStep: 8, maxRunning: 1 });
    const wrong = { code: 'wrong-task' };
    const written = engine.submit({ model: 'embedder', prompt: { text: 'Hello' } })[Symbol.asyncIterator]();
    await expect(written.next()).rejects.toMatchObject(wrong);
    await expect(engine.loadAdapter({ model: 'embedder', adapter: 'a', source: 'a' })).rejects.toMatchObject(
      wrong,
    );
    const running = expect(embed(new Array(50).fill('Hello'))).rejects.toMatchObject({ code: 'closed' });
    await engine.close();
    await running;
    await expect(embed(['Hello'])).rejects.toMatchObject({ code: 'closed' });
  });

  it('refuses parts that do not belong together', () => {
    expect(() => start([tinyEncoder({ classes: 3, labels: ['a'] })])).toThrow(/names of the classes/);
    expect(() => start([tinyEncoder({ contextLength: 65 })])).toThrow(/contextLength/);
  });
});
