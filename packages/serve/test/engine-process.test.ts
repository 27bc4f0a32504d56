import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createEngine, type EngineNotice, serveEngine, spawnEngine } from '../src/index.js';
import { collect, requests, run } from './support/collect.js';
import type { Settings } from './support/engine-process.js';
import { compiled } from './support/program.js';
import { tinyModel } from './support/tiny.js';

const module = compiled('./engine-process.ts');

/** Another process takes its time. */
const eventually = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 120_000, interval: 5 });

async function spawn(settings: Settings = {}) {
  const notices: EngineNotice[] = [];
  const engine = await spawnEngine({ module, settings, onNotice: (notice) => notices.push(notice) });
  onTestFinished(() => engine.close());
  return { engine, notices };
}

const endless = { model: 'tiny', prompt: { text: 'Hello' }, maxTokens: 4000, temperature: 0 };

it('gives what an engine in this process gives', async () => {
  const here = createEngine([tinyModel({ positions: 4096 })]);
  onTestFinished(() => here.close());
  const { engine } = await spawn();
  const answers = await Promise.all(requests.map((request) => run(engine, { logprobs: 2, ...request })));
  expect(answers).toEqual(
    await Promise.all(requests.map((request) => run(here, { logprobs: 2, ...request }))),
  );
  const [card] = engine.models();
  expect(card).toEqual({ ...here.models()[0], created: card.created });
  expect(engine.stats()).toMatchObject({ running: 0, finished: requests.length });
});

it('refuses as an engine in this process does', async () => {
  const here = createEngine([tinyModel({ positions: 4096 })]);
  onTestFinished(() => here.close());
  const { engine } = await spawn();
  for (const wrong of [{ model: 'other' }, { prompt: { ids: [-1] } }, { maxTokens: 5000 }, { stop: [''] }]) {
    const error = await run(here, wrong).catch((error) => error);
    expect(error.code).toBeDefined();
    await expect(run(engine, wrong)).rejects.toThrow(error);
    await expect(run(engine, wrong)).rejects.toMatchObject({
      code: error.code,
      what: error.what,
      got: error.got,
    });
  }
});

it('ends a request when its consumer leaves, and when its signal fires', async () => {
  const { engine } = await spawn();
  for await (const _ of engine.submit(endless)) break;
  const controller = new AbortController();
  const aborted = collect(engine.submit({ ...endless, signal: controller.signal }));
  await eventually(() => engine.stats().running === 1);
  controller.abort();
  expect((await aborted).reason).toBe('abort');
  expect((await collect(engine.submit({ ...endless, signal: controller.signal }))).reason).toBe('abort');
  await eventually(() => engine.stats().running === 0);
});

it('starts again after a crash; meanwhile requests fail in a way that says so', async () => {
  const { engine, notices } = await spawn();
  const lost = run(engine, endless);
  const crash = run(engine, { prompt: { text: 'crash' } });
  await expect(crash).rejects.toMatchObject({ code: 'unavailable' });
  await expect(lost).rejects.toMatchObject({ code: 'unavailable' });
  expect(engine.isAvailable).toBe(false);
  await expect(run(engine, endless)).rejects.toMatchObject({ code: 'unavailable' });
  await eventually(() => engine.isAvailable);
  expect((await run(engine, { maxTokens: 3 })).usage.completionTokens).toBe(3);
  expect(notices).toEqual([{ type: 'crashed', how: 'SIGKILL', lost: 2, delay: 100 }, { type: 'restarted' }]);
});

it('gives a new process the adapters that the last one had, and tells of those that are lost', async () => {
  const { engine, notices } = await spawn();
  const broken = `${fileURLToPath(module)}.adapter`;
  for (const [adapter, source] of Object.entries({ a: 'a', b: broken, c: 'c' })) {
    await engine.loadAdapter({ model: 'tiny', adapter, source });
  }
  await engine.unloadAdapter({ model: 'tiny', adapter: 'c' });
  const adapted = { adapter: 'a', temperature: 0, maxTokens: 5 };
  const before = await run(engine, adapted);
  writeFileSync(broken, '');
  onTestFinished(() => rmSync(broken));
  await run(engine, { prompt: { text: 'crash' } }).catch(() => {});
  await eventually(() => engine.isAvailable);
  expect(engine.models()[0].adapters).toEqual(['a']);
  expect((await run(engine, adapted)).text).toBe(before.text);
  await expect(run(engine, { adapter: 'b' })).rejects.toMatchObject({ code: 'unknown-adapter' });
  expect(notices).toMatchObject([
    { type: 'crashed' },
    { type: 'adapter-lost', adapter: 'b' },
    { type: 'restarted' },
  ]);
});

it('tells why it does not start, and keeps trying when it has run before', async () => {
  const obstacle = `${fileURLToPath(module)}.obstacle`;
  writeFileSync(obstacle, '');
  await expect(spawn({ obstacle })).rejects.toThrow('something is in the way');
  rmSync(obstacle);
  const { engine, notices } = await spawn({ obstacle });
  writeFileSync(obstacle, '');
  await run(engine, { prompt: { text: 'crash' } }).catch(() => {});
  await eventually(() => notices.some(({ type }) => type === 'restart-failed'));
  rmSync(obstacle);
  await eventually(() => engine.isAvailable);
});

it('closes while it is down, and what runs ends', async () => {
  const { engine } = await spawn();
  const running = run(engine, endless);
  await eventually(() => engine.stats().running === 1);
  await engine.close();
  expect((await running).reason).toBe('abort');
  await expect(run(engine, endless)).rejects.toMatchObject({ code: 'closed' });
  const { engine: other } = await spawn();
  await run(other, { prompt: { text: 'crash' } }).catch(() => {});
  await other.close();
  expect(other.isAvailable).toBe(false);
});

it('stops starting when it is told to', async () => {
  const controller = new AbortController();
  const starting = spawnEngine({ module, settings: {}, signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(starting).rejects.toThrow('enough');
});

it('behind a server: clients get a 503 that they can retry, in a stream an error', async () => {
  const { engine } = await spawn();
  const server = await serveEngine(engine, { port: 0 });
  onTestFinished(() => server.close());
  const post = (body: object) =>
    fetch(`${server.url}v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', ...body }),
    });
  const stream = await post({ prompt: 'Hello', max_tokens: 4000, temperature: 0, stream: true });
  const crash = await post({ prompt: 'crash' });
  expect(crash.status).toBe(503);
  expect(crash.headers.get('retry-after')).toBe('1');
  expect((await crash.json()).error.code).toBe('engine_unavailable');
  const text = await stream.text();
  expect(text).toContain('engine_unavailable');
  expect(text).not.toContain('[DONE]');
  const health = await fetch(`${server.url}health`);
  expect([health.status, (await health.json()).status]).toEqual([503, 'restarting']);
  expect((await fetch(`${server.url}health/live`)).status).toBe(200);
  await eventually(async () => (await fetch(`${server.url}health`)).status === 200);
  expect((await post({ prompt: 'Hello', max_tokens: 2 })).status).toBe(200);
});
