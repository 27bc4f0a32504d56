import { EventEmitter, once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { closeOnSignal, ListenError, type ServeOptions, serveModels } from '../src/index.js';
import { until } from './support/collect.js';
import { readStream, textOf } from './support/server.js';
import { tinyModel } from './support/tiny.js';

const long = { model: 'tiny', prompt: 'Hello', max_tokens: 200, temperature: 0 };

async function listen(options: Partial<ServeOptions> = {}) {
  const server = await serveModels({ models: [tinyModel()], port: 0, ...options });
  onTestFinished(() => server.close());
  const post = (body: object, signal?: AbortSignal) =>
    fetch(`${server.url}v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
  const health = async () => (await fetch(`${server.url}health`)).json();
  return { server, post, health };
}

describe('a client that disconnects', () => {
  it.each([true, false])('frees its place, stream: %s', async (stream) => {
    const { post, health } = await listen({ limits: { maxRunning: 1 } });
    const controller = new AbortController();
    const response = post({ ...long, stream }, controller.signal);
    response.catch(() => {});
    await until(async () => (await health()).running === 1);
    controller.abort();
    await expect(response.then((answer) => answer.text())).rejects.toThrow();
    await until(async () => (await health()).running === 0);
    expect((await post({ ...long, max_tokens: 2 })).status).toBe(200);
  });

  it('while it waits, leaves the queue', async () => {
    const { post, health } = await listen({ limits: { maxRunning: 1 } });
    const first = post({ ...long, max_tokens: 120 });
    await until(async () => (await health()).running === 1);
    const controller = new AbortController();
    const waiting = post(long, controller.signal);
    waiting.catch(() => {});
    await until(async () => (await health()).waiting === 1);
    controller.abort();
    await until(async () => (await health()).waiting === 0);
    expect((await (await first).json()).usage.completion_tokens).toBe(120);
  });

  it('in the middle of its body, does no harm', async () => {
    const { server, post } = await listen();
    const { port } = new URL(server.url);
    const socket = connect(Number(port), '127.0.0.1');
    await new Promise<void>((resolve) => {
      const head =
        'POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500';
      socket.write(`${head}\r\n\r\n{"model":`, () => resolve());
    });
    socket.destroy();
    expect((await post({ ...long, max_tokens: 2 })).status).toBe(200);
  });
});

describe('streams', () => {
  it('arrive while they are made', async () => {
    const { post, health } = await listen();
    const response = await post({ ...long, stream: true });
    const reader = response.body!.getReader();
    await reader.read();
    expect((await health()).running).toBe(1);
    let rest = '';
    for (let next = await reader.read(); !next.done; next = await reader.read())
      rest += new TextDecoder().decode(next.value);
    expect(rest.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('of many clients do not mix', async () => {
    const { post } = await listen({ limits: { maxRunning: 4 } });
    const bodies = Array.from({ length: 10 }, (_, i) => ({
      ...long,
      prompt: `Number ${i}`,
      max_tokens: 20,
      seed: i,
      temperature: 1,
    }));
    const wholes = await Promise.all(bodies.map(async (body) => (await post(body)).json()));
    const streams = await Promise.all(
      bodies.map(async (body) => (await post({ ...body, stream: true })).text()),
    );
    streams.forEach((stream, i) => {
      const text = textOf(readStream(stream).chunks);
      expect(text).toBe(wholes[i].choices[0].text);
    });
  });
});

describe('what is not HTTP', () => {
  it.each([
    ['nonsense', 'hello there\r\n\r\n', 400],
    ['huge headers', `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ])('%s gets an error in the same shape', async (_, bytes, status) => {
    const { server } = await listen();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
      socket.write(bytes);
    });
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(answer.split('\r\n\r\n')[1]).error.code).toBe('invalid_http');
  });
});

describe('listening', () => {
  it('is on this machine alone unless told otherwise', async () => {
    const { server } = await listen();
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  });

  it('on a taken port is refused with advice', async () => {
    const { server } = await listen();
    const again = listen({ port: Number(new URL(server.url).port) });
    await expect(again).rejects.toThrow(ListenError);
    await expect(again).rejects.toThrow(/the port is in use: got 127\.0\.0\.1:\d+\. Choose another one/);
  });
});

describe('closing', () => {
  it('lets running requests finish and refuses new ones', async () => {
    const { server, post, health } = await listen();
    const running = post({ ...long, stream: true });
    await until(async () => (await health()).running === 1);
    const closed = server.close();
    await until(async () => (await health()).status === 'draining');
    const refused = await post(long);
    expect(refused.status).toBe(503);
    expect((await refused.json()).error.code).toBe('shutting_down');
    const { chunks, done } = readStream(await (await running).text());
    expect(done).toBe(true);
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe('length');
    await closed;
    await expect(fetch(server.url)).rejects.toThrow();
  });

  it('ends them when their time is over', async () => {
    const { server, post, health } = await listen({
      drainTimeout: 1,
      models: [tinyModel({ contextLength: 256 })],
    });
    const stream = post({ ...long, max_tokens: 240, stream: true });
    const whole = post({ ...long, max_tokens: 240 });
    await until(async () => (await health()).running === 2);
    await server.close();
    const { chunks, done } = readStream(await (await stream).text());
    expect(chunks.at(-1)?.error?.code).toBe('shutting_down');
    expect(done).toBe(false);
    const response = await whole;
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  });

  it('does not wait for connections on which nothing was asked', async () => {
    const { server } = await listen();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    await once(socket, 'connect');
    const ended = once(socket, 'close');
    await server.close();
    await ended;
  });

  it('follows a signal, once', async () => {
    const { server } = await listen();
    const signals = new EventEmitter();
    const closed = closeOnSignal(server, signals);
    signals.emit('SIGTERM');
    expect(signals.listenerCount('SIGINT') + signals.listenerCount('SIGTERM')).toBe(0);
    await closed;
    await expect(fetch(server.url)).rejects.toThrow();
  });
});

describe('logs', () => {
  it('say what happened, without any text', async () => {
    let text = '';
    const destination = new Writable({
      write(chunk, _, done) {
        text += chunk;
        done();
      },
    });
    const { post, health, server } = await listen({ logger: pino({ level: 'trace' }, destination) });
    await (await post({ ...long, prompt: 'my secret prompt', max_tokens: 3 })).text();
    await (await post({ ...long, prompt: 'my secret prompt', my_secret_value: 'my secret prompt' })).text();
    await health();
    await server.close();
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const answered = lines.find(({ route, status }) => route === '/v1/completions' && status === 200);
    expect(answered).toMatchObject({
      method: 'POST',
      completed: true,
      model: 'tiny',
      prompt_tokens: 17,
      completion_tokens: 3,
    });
    expect(lines.find(({ status }) => status === 400)).toBeDefined();
    expect(text).not.toContain('my secret prompt');
  });
});

describe('a slow body', () => {
  it('in pieces is read as one', async () => {
    const { server } = await listen();
    const body = JSON.stringify({ ...long, prompt: '三国', max_tokens: 2 });
    const bytes = Buffer.from(body);
    const status = await new Promise((resolve) => {
      const request = httpRequest(`${server.url}v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      request.on('response', (response) => resolve(response.resume().statusCode));
      for (let i = 0; i < bytes.length; i += 5) request.write(bytes.subarray(i, i + 5));
      request.end();
    });
    expect(status).toBe(200);
  });
});
