import { AdapterBank, type LowRank } from '@frugal/lora';
import { Random, scope } from '@frugal/tensor-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createEngine,
  type Engine,
  EngineError,
  type GenerationRequest,
  type LoadedModel,
} from '../src/index.js';
import { collect, run, until } from './support/collect.js';
import { tinyModel } from './support/tiny.js';

const paths = ['blocks.0.attention.query', 'blocks.1.attention.value', 'blocks.1.mlp.down'];

/** A model whose adapters are made of the number that their source names. */
function adaptable(): LoadedModel & { readonly adapters: AdapterBank } {
  const loaded = tinyModel();
  const adapters = new AdapterBank(loaded.model);
  const loadAdapter = async (name: string, source: string) => {
    const random = new Random(Number(source));
    const matrix = (rows: number, columns: number) => random.normal([rows, columns]).mul(0.5);
    const layers = paths.map((path): [string, LowRank] => {
      const { inFeatures, outFeatures } = loaded.model.module(path) as unknown as Record<string, number>;
      return [path, { down: matrix(4, inFeatures), up: matrix(outFeatures, 4), scale: 1 }];
    });
    scope(() => adapters.add(name, new Map(layers)));
  };
  return { ...loaded, adapters, loadAdapter };
}

async function start(names: readonly string[]): Promise<Engine> {
  const engine = createEngine([adaptable()]);
  onTestFinished(() => engine.close());
  for (const [i, name] of names.entries())
    await engine.loadAdapter({ model: 'tiny', adapter: name, source: String(i + 1) });
  return engine;
}

const request = { prompt: { text: 'Once upon a time there was a model.' }, maxTokens: 24, temperature: 0 };
const names = ['one', 'two', 'three'];
const ask = (engine: Engine, adapter?: string, more: Partial<GenerationRequest> = {}) =>
  run(engine, { ...request, adapter, ...more });

describe('adapters', () => {
  it('are on the card of their model, and change what it says', async () => {
    const engine = await start(names);
    expect(engine.models()[0].adapters).toEqual(names);
    const texts = [];
    for (const name of [undefined, ...names]) texts.push((await ask(engine, name)).text);
    expect(new Set(texts).size).toBe(4);
  });

  it('give in one batch what they give alone, with pages of earlier requests and without', async () => {
    const alone: string[] = [];
    for (const name of [undefined, ...names]) alone.push((await ask(await start(names), name)).text);
    const engine = await start(names);
    const all = [undefined, ...names, ...names, undefined];
    const expected = all.map((name) => alone[name === undefined ? 0 : 1 + names.indexOf(name)]);
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(all.map((name) => ask(engine, name)));
      expect(results.map(({ text }) => text)).toEqual(expected);
    }
  });

  it('never share pages', async () => {
    const engine = await start(names);
    const cached = [];
    for (const name of ['one', 'two', undefined, 'one'])
      cached.push((await ask(engine, name)).usage.cachedTokens);
    expect(cached).toEqual([0, 0, 0, 32]);
  });

  it('are another one when loaded anew under the same name', async () => {
    const engine = await start(['one']);
    const first = await ask(engine, 'one');
    await engine.unloadAdapter({ model: 'tiny', adapter: 'one' });
    await engine.loadAdapter({ model: 'tiny', adapter: 'one', source: '9' });
    const second = await ask(engine, 'one');
    expect(second.usage.cachedTokens).toBe(0);
    expect(second.text).not.toBe(first.text);
  });

  it('leave only when their last request has ended; new ones are refused at once', async () => {
    const engine = await start(['one', 'two']);
    const expected = await ask(engine, 'one', { maxTokens: 100 });
    const running = ask(engine, 'one', { maxTokens: 100 });
    await until(() => engine.stats().running === 1);
    const leaving = engine.unloadAdapter({ model: 'tiny', adapter: 'one' });
    await expect(ask(engine, 'one')).rejects.toMatchObject({ code: 'unknown-adapter' });
    const other = ask(engine, 'two');
    expect((await running).text).toBe(expected.text);
    await leaving;
    expect((await other).text.length).toBeGreaterThan(0);
    expect(engine.models()[0].adapters).toEqual(['two']);
  });

  it('that are not there, or there already, are refused by name', async () => {
    const engine = await start(['one']);
    await expect(ask(engine, 'none')).rejects.toThrow('got none; expected one');
    const again = { model: 'tiny', adapter: 'one', source: '1' };
    await expect(engine.loadAdapter(again)).rejects.toThrow('loaded already');
    await expect(engine.unloadAdapter({ model: 'tiny', adapter: 'none' })).rejects.toThrow(EngineError);
    const plain = createEngine([tinyModel()]);
    onTestFinished(() => plain.close());
    await expect(plain.loadAdapter(again)).rejects.toThrow('no adapters can be added to tiny');
    const events = plain.submit({ ...request, model: 'tiny', adapter: 'one' });
    await expect(collect(events)).rejects.toMatchObject({ code: 'unknown-adapter' });
  });
});
