import { AdapterBank } from '@frugal/lora';
import { Random, scope } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { startServer } from './support/server.js';
import { tinyModel } from './support/tiny.js';

/** A server whose adapters are made of the last letter of their folder. */
function start() {
  const loaded = tinyModel();
  const adapters = new AdapterBank(loaded.model);
  const path = 'blocks.1.mlp.down';
  const { inFeatures, outFeatures } = loaded.model.module(path) as unknown as Record<string, number>;
  const loadAdapter = async (name: string, folder: string) => {
    if (name === 'broken') throw new Error('ENOENT: no file of somebody');
    const random = new Random(folder.charCodeAt(folder.length - 1));
    const matrix = (rows: number, columns: number) => random.normal([rows, columns]).mul(2);
    scope(() =>
      adapters.add(
        name,
        new Map([[path, { down: matrix(4, inFeatures), up: matrix(outFeatures, 4), scale: 1 }]]),
      ),
    );
  };
  const { app, post } = startServer({
    models: [{ ...loaded, adapters, loadAdapter }],
    adapterFolder: 'adapters',
  });
  const change = (method: 'POST' | 'DELETE', payload: object) =>
    app.inject({ method, url: '/v1/adapters', payload });
  const models = async () =>
    (await app.inject({ url: '/v1/models' })).json().data.map(({ id }: { id: string }) => id);
  const text = async (model: string) => {
    const response = await post('/v1/completions', {
      model,
      prompt: 'Hello',
      max_tokens: 12,
      temperature: 0,
    });
    return response.statusCode === 200 ? response.json().choices[0].text : response.statusCode;
  };
  return { change, models, text };
}

it('adapters come and go, and are models of their own meanwhile', async () => {
  const { change, models, text } = start();
  const plain = await text('tiny');
  expect((await change('POST', { model: 'tiny', adapter: 'a' })).json()).toEqual({
    id: 'tiny:a',
    object: 'adapter',
  });
  expect((await change('POST', { model: 'tiny', adapter: 'b' })).statusCode).toBe(200);
  expect(await models()).toEqual(['tiny', 'tiny:a', 'tiny:b']);
  const texts = await Promise.all(['tiny', 'tiny:a', 'tiny:b'].map(text));
  expect(new Set(texts).size).toBe(3);
  expect(texts[0]).toBe(plain);
  expect((await change('POST', { model: 'tiny', adapter: 'a' })).statusCode).toBe(409);
  expect((await change('DELETE', { model: 'tiny', adapter: 'a' })).json().deleted).toBe(true);
  expect(await models()).toEqual(['tiny', 'tiny:b']);
  expect(await text('tiny:a')).toBe(404);
});

it.each([
  ['../secret', 400],
  ['.hidden', 400],
  ['a/b', 400],
  ['a\\b', 400],
  ['', 400],
])('the adapter %j is refused', async (adapter, status) => {
  const { change } = start();
  expect((await change('POST', { model: 'tiny', adapter })).statusCode).toBe(status);
});

it('one that cannot be loaded is a 400 that tells nothing of the server', async () => {
  const { change, models } = start();
  const response = await change('POST', { model: 'tiny', adapter: 'broken' });
  expect([response.statusCode, response.json().error.code]).toEqual([400, 'adapter_not_loaded']);
  expect(response.body).not.toContain('somebody');
  expect(await models()).toEqual(['tiny']);
});

it('unknown models and adapters are a 404', async () => {
  const { change } = start();
  expect((await change('POST', { model: 'other', adapter: 'a' })).statusCode).toBe(404);
  expect((await change('DELETE', { model: 'tiny', adapter: 'a' })).statusCode).toBe(404);
});
