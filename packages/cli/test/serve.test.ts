import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { ModelRouter } from '@frugal/moe';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { run, type Terminal } from '../src/index.js';
import { frugal } from './support/terminal.js';
import { saveTinyAdapter, saveTinyEncoder, saveTinyModel, temporaryFolder } from './support/tiny.js';

const engineProcess = new URL('../dist/serving/engine-process.js', import.meta.url);
const folder = await temporaryFolder();
const model = await saveTinyModel(join(folder, 'tiny'));
const at = (name: string) => join(folder, name);

/** Starts `frugal serve` on a free port; it is stopped after the test at the latest. */
async function serve(...args: string[]) {
  const controller = new AbortController();
  let tell: (text: string) => void = () => {};
  const started = new Promise<string>((resolve) => {
    tell = resolve;
  });
  let errors = '';
  const terminal: Terminal = {
    out: (text) => tell(text),
    err: (text) => {
      errors += text;
    },
    input: process.stdin,
  };
  const done = run(['serve', ...args, '--port', '0', '--json', '--log', 'silent'], {
    terminal,
    signal: controller.signal,
  });
  const stop = () => {
    controller.abort(new Interrupted());
    return done;
  };
  onTestFinished(async () => void (await stop()));
  const failed = done.then((code) => Promise.reject(new Error(`ended with ${code}: ${errors}`)));
  const { url, models } = JSON.parse(await Promise.race([started, failed]));
  failed.catch(() => {});
  const ask = (path: string, key?: string, body?: object) =>
    fetch(`${url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
      body: body && JSON.stringify(body),
    });
  return { url, models, ask, stop, errors: () => errors };
}

describe('serve', () => {
  beforeEach((context) => {
    if (!existsSync(engineProcess)) context.skip('the package is not built');
  });

  it('serves what it was given until it is stopped', async () => {
    const { ask, models, stop, url } = await serve(`a=${model}`, model);
    expect(models).toEqual(['a', 'tiny']);
    const body = { model: 'tiny', prompt: 'Fellow', max_tokens: 3, temperature: 0 };
    const answer = await (await ask('v1/completions', undefined, body)).json();
    const { out } = await frugal(['generate', model, '--prompt', 'Fellow', '--max-tokens', '3', '--json']);
    expect(answer).toMatchObject({ choices: [{ text: JSON.parse(out).text }] });
    expect(await stop()).toBe(0);
    await expect(fetch(`${url}health`)).rejects.toThrow();
  });

  it('computes some blocks on another backend, with adapters', async () => {
    const adapter = at('placed-adapter');
    await saveTinyAdapter(adapter, model);
    const place = ['--place', 'reference=0'];
    const { ask } = await serve(model, '--adapter', `other=${adapter}`, ...place);
    const config = at('placed.json');
    await writeFile(
      config,
      JSON.stringify({ models: { tiny: model }, backend: { place: { reference: 0 } } }),
    );
    const told = await serve('--config', config);
    for (const [name, ...more] of [['tiny'], ['tiny:other', '--adapter', adapter]]) {
      const prompt = ['--prompt', 'Fellow', '--max-tokens', '5', '--json'];
      const { out } = await frugal(['generate', model, ...prompt, ...place, ...more]);
      const body = { model: name, prompt: 'Fellow', max_tokens: 5, temperature: 0 };
      const expected = { choices: [{ text: JSON.parse(out).text }] };
      expect(await (await ask('v1/completions', undefined, body)).json()).toMatchObject(expected);
      if (more.length > 0) continue;
      expect(await (await told.ask('v1/completions', undefined, body)).json()).toMatchObject(expected);
    }
    await writeFile(config, JSON.stringify({ models: { tiny: model }, backend: { place: { tpu: '0-1' } } }));
    const { code, err } = await frugal(['serve', '--config', config]);
    expect([code, err]).toEqual([2, expect.stringMatching(/tpu: 0-1.*a backend \(cuda/s)]);
  });

  it('asks for keys: one of the command line, those of a file, which can change', async () => {
    const keys = at('keys.json');
    const { out } = await frugal(['api-key', keys, 'alice', '--requests-per-minute', '2', '--json']);
    const { key } = JSON.parse(out);
    expect((await stat(keys)).mode & 0o077).toBe(0);
    expect(await readFile(keys, 'utf8')).not.toContain(key);
    const { ask } = await serve(model, '--api-keys', keys, '--api-key', 'letmein');
    const statuses = async (...all: (string | undefined)[]) =>
      Promise.all(all.map(async (each) => (await ask('v1/models', each)).status));
    expect(await statuses(undefined, 'wrong', key, 'letmein')).toEqual([401, 401, 200, 200]);
    const body = { model: 'tiny', prompt: 'Fellow', max_tokens: 1 };
    const posts = [];
    for (let i = 0; i < 3; i++) posts.push((await ask('v1/completions', key, body)).status);
    expect(posts).toEqual([200, 200, 429]);
    expect((await frugal(['api-key', keys, 'alice', '--revoke'])).code).toBe(0);
    process.emit('SIGHUP');
    await expect.poll(() => statuses(key, 'letmein')).toEqual([401, 200]);
  });

  it('reads a configuration; the command line wins over it', async () => {
    const config = at('serve.yaml');
    await writeFile(
      config,
      `models:\n  small: tiny\nport: 1\nlimits:\n  maxRunning: 2\norigins: [https://example.com]\n`,
    );
    const { ask, models } = await serve('--config', config, '--backend', 'reference');
    expect(models).toEqual(['small']);
    const response = await ask('v1/models');
    expect(response.headers.get('vary')).toBe('Origin');
    expect((await response.json()).data[0].id).toBe('small');
  });

  it('embeds, routes, and loads adapters at the start', async () => {
    const [encoder, adapter, router] = [at('encoder'), at('adapter'), at('router.json')];
    await saveTinyAdapter(adapter, model);
    await saveTinyEncoder(encoder);
    const examples = [
      { text: 'easy', quality: [1, 0.8] },
      { text: 'hard', quality: [0, 1] },
    ];
    const models = [
      { name: 'a', cost: 1 },
      { name: 'b', cost: 9 },
    ];
    await writeFile(router, JSON.stringify(ModelRouter.train(models, examples)));
    const named = [`a=${model}`, `b=${model}`, `e=${encoder}`];
    const { ask } = await serve(...named, '--adapter', `a:plain=${adapter}`, '--router', `auto=${router}`);
    const listed = (await (await ask('v1/models')).json()).data.map(({ id }: { id: string }) => id);
    expect(listed).toEqual(['a', 'a:plain', 'b', 'e', 'auto']);
    const complete = async (name: string, prompt: string) =>
      (await (await ask('v1/completions', undefined, { model: name, prompt, max_tokens: 2 })).json()).model;
    expect(await Promise.all(['easy', 'hard'].map((prompt) => complete('auto', prompt)))).toEqual(['a', 'b']);
    expect(await complete('a:plain', 'Fellow')).toBe('a:plain');
    const embedded = await ask('v1/embeddings', undefined, { model: 'e', input: 'Fellow' });
    expect((await embedded.json()).data[0].embedding).toHaveLength(32);
  });

  it('warns when everybody can use it', async () => {
    const { errors } = await serve(model, '--host', '0.0.0.0');
    expect(errors()).toContain('Everybody who can reach 0.0.0.0 can use this server');
  });

  it('refuses a port that is taken', async () => {
    const other = await listen();
    const { port } = other.address() as { port: number };
    const taken = await frugal(['serve', model, '--port', String(port), '--log', 'silent']);
    expect([taken.code, taken.err]).toEqual([1, expect.stringContaining('port is in use')]);
    other.close();
  });
});

describe('what serve refuses', () => {
  it.each([
    ['models:\n  a: tiny\nmaxRuning: 3', /unknown maxRuning \(known: models, host/],
    ['models:\n  a: tiny\nlimits:\n  maxRuning: 3', /limits: unknown maxRuning; did you mean maxRunning\?/],
    ['port: 70000\nlog: loud', /port: .*65535.*; log: /],
    ['origins: [https://example.com/path]', /origins\.0: .*origin/],
    ['port: [', /not YAML or JSON/],
    ['host: localhost', /there is no model to serve/],
    ['models:\n  a: nowhere', /nowhere\] there is no such folder or file/],
    [
      'models:\n  a: tiny\nrouters:\n  auto: { file: tiny/config.json }',
      /there is no saved ModelRouter here/,
    ],
    ['models:\n  a: tiny\nloadAdapters:\n  polite: nowhere', /nowhere\] there is no such folder or file/],
    ['models: { a: tiny, b: tiny }\nloadAdapters: { polite: tiny }', /which model.*a:NAME or b:NAME/],
    ['models:\n  a: tiny\nlimits: { modelBytes: 1000 }', /does not fit into modelBytes/],
    ['models:\n  a: tiny\napiKeys: none.json', /none\.json\] there is no such file/],
  ])('%j', async (text, message) => {
    const config = at('wrong.yaml');
    await writeFile(config, text);
    const { code, err } = await frugal(['serve', '--config', config]);
    expect(err).toMatch(message);
    expect(code).toBeGreaterThan(0);
  });

  it('adapters without a name, and two of one', async () => {
    const nameless = await frugal(['serve', model, '--adapter', model]);
    expect([nameless.code, nameless.err]).toEqual([2, expect.stringContaining('expected NAME=PATH')]);
    const twice = await frugal(['serve', model, '--adapter', `a=${model}`, `a=${model}`]);
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining('two have one name')]);
  });

  it('two models of one name', async () => {
    const twice = await frugal(['serve', model, model]);
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining('NAME=MODEL')]);
  });
});

describe('api-key', () => {
  it('refuses a second key of one name, and to revoke one that is not there', async () => {
    const keys = at('others.json');
    const { out } = await frugal(['api-key', keys, 'alice']);
    expect(out).toMatch(/^frugal-[\w-]{43}\n$/);
    const before = await readFile(keys, 'utf8');
    const twice = await frugal(['api-key', keys, 'alice']);
    expect([twice.code, twice.err]).toEqual([1, expect.stringContaining('there is a key of that name')]);
    const other = await frugal(['api-key', keys, 'bob', '--revoke']);
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('no key of that name')]);
    expect(await readFile(keys, 'utf8')).toBe(before);
  });

  it('refuses a file that is something else', async () => {
    await writeFile(at('strange.json'), '{ "keys": [{ "name": "a", "sha256": "secret" }] }');
    const { code, err } = await frugal(['api-key', at('strange.json'), 'bob']);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('keys.0.sha256: expected 64 hexadecimal digits'),
    ]);
  });
});

function listen(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
}
