import { AdapterBank } from '@frugal/lora';
import { zeros } from '@frugal/tensor-core';
import { expect, it, onTestFinished } from 'vitest';
import { type ModelPoolLimits, type ModelSource, openEngine, type ServedModel } from '../src/index.js';
import { collect, run, until } from './support/collect.js';
import { bytesPerToken, tinyModel } from './support/tiny.js';
import { tinyEncoder } from './support/tiny-encoder.js';

const cacheBytes = 1024 * bytesPerToken;

/** Sources that note what happens to them. */
function sources(names: readonly string[], make: (name: string) => ServedModel = writer) {
  const log: string[] = [];
  const all: ModelSource[] = names.map((name) => ({
    name,
    load: async () => {
      log.push(`+${name}`);
      return make(name);
    },
    unload: (loaded) => {
      log.push(`-${name}`);
      ('encoder' in loaded ? loaded.encoder : loaded.model).dispose();
    },
  }));
  return { all, log };
}

const writer = (name: string) => tinyModel({ name, seed: name.charCodeAt(0), positions: 1024 });

async function open(names: readonly string[], limits: ModelPoolLimits = {}, make = writer as never) {
  const { all, log } = sources(names, make);
  const engine = await openEngine(all, { cacheBytes, ...limits });
  onTestFinished(() => engine.close());
  const loaded = () => engine.models().flatMap((card) => (card.loaded ? [card.name] : []));
  return { engine, log, loaded };
}

/** A tiny model with a bank of adapters; each takes the memory of `rank` rows and columns, in f32 twice. */
function withAdapters(name: string): ServedModel {
  const loaded = writer(name);
  const adapters = new AdapterBank(loaded.model);
  const path = 'blocks.1.mlp.down';
  const { inFeatures, outFeatures } = loaded.model.module(path) as unknown as Record<string, number>;
  const loadAdapter = async (adapter: string, rank: string) => {
    const [down, up] = [zeros([Number(rank), inFeatures]), zeros([outFeatures, Number(rank)])];
    adapters.add(adapter, new Map([[path, { down, up, scale: 1 }]]));
  };
  return { ...loaded, adapters, loadAdapter };
}

/** Room for so many tiny models. */
async function room(count: number): Promise<number> {
  const { engine } = await open(['a']);
  return count * (engine.models()[0].weightBytes + cacheBytes);
}

it('all stay while there is room', async () => {
  const { engine, log, loaded } = await open(['a', 'b']);
  expect([log, loaded()]).toEqual([
    ['+b', '+a'],
    ['a', 'b'],
  ]);
  await run(engine, { model: 'b', maxTokens: 2 });
  await engine.close();
  expect(log.slice(2).sort()).toEqual(['-a', '-b']);
});

it('the one used longest ago makes room, and comes back as it was', async () => {
  const { engine, log, loaded } = await open(['a', 'b', 'c'], { modelBytes: await room(2) });
  expect([log, loaded()]).toEqual([
    ['+c', '+b', '+a', '-c'],
    ['a', 'b'],
  ]);
  const ask = (model: string) => run(engine, { model, maxTokens: 5, temperature: 0 });
  const first = await ask('b');
  await ask('c');
  expect(loaded()).toEqual(['b', 'c']);
  await ask('a');
  expect(loaded()).toEqual(['a', 'c']);
  expect(await ask('b')).toEqual(first);
  expect(engine.stats()).toMatchObject({ finished: 4, waiting: 0, running: 0, completionTokens: 20 });
  expect(engine.models().map(({ name }) => name)).toEqual(['a', 'b', 'c']);
});

it('running requests finish before their model goes; those that come later wait for their turn', async () => {
  const { engine, log, loaded } = await open(['a', 'b'], { modelBytes: await room(1) });
  const order: string[] = [];
  const ask = (model: string, maxTokens: number) =>
    run(engine, { model, maxTokens, temperature: 0 }).then(({ usage }) => {
      order.push(model);
      return usage.completionTokens;
    });
  const running = ask('a', 60);
  await until(() => engine.stats().running === 1);
  const others = [ask('b', 3)];
  await until(() => loaded().length === 0);
  others.push(ask('a', 3), ask('b', 3));
  expect(engine.stats().waiting).toBe(3);
  expect(await running).toBeGreaterThan(1);
  await Promise.all(others);
  expect(order[0]).toBe('a');
  expect(log.slice(3)).toEqual(['-a', '+b', '-b', '+a', '-a', '+b']);
});

it('nothing is loaded before there is room for it, where its size is known', async () => {
  const modelBytes = await room(1);
  const { all, log } = sources(['a', 'b']);
  const engine = await openEngine(
    all.map((source) => ({ ...source, bytes: 1000 })),
    { cacheBytes, modelBytes },
  );
  onTestFinished(() => engine.close());
  expect(log).toEqual(['+b', '-b', '+a']);
});

it('who leaves while a model is loaded costs nothing more', async () => {
  const { engine, loaded } = await open(['a', 'b'], { modelBytes: await room(1) });
  const iterator = engine.submit({ model: 'b', prompt: { text: 'x' } })[Symbol.asyncIterator]();
  const first = iterator.next();
  await iterator.return?.();
  expect(await first).toEqual({ done: true, value: undefined });
  const aborted = engine.submit({ model: 'b', prompt: { text: 'x' }, signal: AbortSignal.abort() });
  expect((await collect(aborted)).reason).toBe('abort');
  await until(() => engine.stats().running === 0);
  expect(loaded()).toEqual(['b']);
});

it('encoders come and go too, and models are loaded and unloaded by hand', async () => {
  const make = (name: string) => (name === 'e' ? tinyEncoder({ name }) : writer(name));
  const { engine, log, loaded } = await open(['a', 'e'], {}, make as never);
  await engine.unloadModel('e');
  await engine.unloadModel('e');
  expect(loaded()).toEqual(['a']);
  const request = { model: 'e', task: 'embed', inputs: [{ text: 'x' }] } as const;
  expect((await engine.encode(request)).rows).toHaveLength(1);
  await engine.unloadModel('a');
  await engine.loadModel('a');
  expect(log).toEqual(['+e', '+a', '-e', '+e', '-a', '+a']);
  await expect(engine.unloadModel('other')).rejects.toMatchObject({ code: 'unknown-model' });
});

it('a source that fails costs those who asked, and is tried again', async () => {
  let broken = false;
  const make = (name: string) => {
    if (broken) throw new Error('the disk is gone');
    return writer(name);
  };
  const { engine } = await open(['a'], {}, make as never);
  await engine.unloadModel('a');
  broken = true;
  await expect(run(engine, { model: 'a' })).rejects.toThrow('the disk is gone');
  broken = false;
  expect((await run(engine, { model: 'a', maxTokens: 2 })).usage.completionTokens).toBe(2);
});

it('refuses what does not fit, and waits no longer than it may', async () => {
  await expect(open(['a'], { modelBytes: cacheBytes })).rejects.toThrow(/does not fit into modelBytes/);
  await expect(open(['a'], { modelBytes: 0 })).rejects.toThrow(/modelBytes out of range/);
  await expect(open([])).rejects.toThrow(/no models/);
  await expect(open(['a', 'a'])).rejects.toThrow(/one name/);
  const { engine } = await open(['a', 'b'], { modelBytes: await room(1), maxWaiting: 1 });
  const waiting = run(engine, { model: 'b', maxTokens: 1 });
  await expect(run(engine, { model: 'b' })).rejects.toMatchObject({ code: 'overloaded' });
  await waiting;
});

it('closing ends what waits for a model', async () => {
  const { engine } = await open(['a', 'b'], { modelBytes: await room(1) });
  const running = run(engine, { model: 'a', maxTokens: 500, temperature: 0 });
  const waiting = run(engine, { model: 'b' });
  const closed = expect(waiting).rejects.toMatchObject({ code: 'closed' });
  await engine.close();
  expect((await running).reason).toBe('abort');
  await closed;
});

it('adapters count: others make room for them, and one that does not fit is refused', async () => {
  const modelBytes = (await room(2)) + 1000;
  const { engine, log, loaded } = await open(['a', 'b'], { modelBytes }, withAdapters as never);
  const weightBytes = () => engine.models()[0].weightBytes;
  const [plain, perRank] = [weightBytes(), 4 * (32 + 48)];
  await engine.loadAdapter({ model: 'a', adapter: 'small', source: '1' });
  expect([weightBytes(), loaded()]).toEqual([plain + perRank, ['a', 'b']]);
  await engine.loadAdapter({ model: 'a', adapter: 'large', source: '4' });
  // All in a stack have the largest rank.
  expect([weightBytes(), loaded()]).toEqual([plain + 8 * perRank, ['a']]);
  await run(engine, { model: 'b', maxTokens: 2 });
  expect(loaded()).toEqual(['b']);
  const huge = engine.loadAdapter({ model: 'a', adapter: 'huge', source: '4000' });
  await expect(huge).rejects.toMatchObject({
    code: 'invalid-request',
    what: expect.stringContaining('modelBytes'),
  });
  expect([weightBytes(), engine.models()[0].adapters]).toEqual([plain + 8 * perRank, ['small', 'large']]);
  expect(log).toEqual(['+b', '+a', '-b', '-a', '+b', '-b', '+a']);
});
