import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createEngine, serveEngine } from '../src/index.js';
import { drawer } from './support/random.js';
import { startServer } from './support/server.js';
import { chatModel } from './support/tiny.js';

/** Whole numbers below `n`, the same ones for the same seed. */
function dice(seed: number): (n: number) => number {
  const draw = drawer(seed);
  return (n) => Math.floor(draw() * n);
}

const valid = {
  model: 'tiny',
  messages: [{ role: 'user', content: 'Hello' }],
  max_tokens: 2,
  temperature: 0.5,
  stop: ['x'],
  tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
  tool_choice: 'none',
  response_format: { type: 'text' },
  logit_bias: { 5: 1 },
  stream_options: null,
};
const strange: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  Number.MAX_SAFE_INTEGER,
  '',
  '\u0000',
  '\ud800',
  '../../etc/passwd',
  '🙂'.repeat(50),
  [],
  [[]],
  [null],
  {},
  { __proto__: null, constructor: 1 },
  { type: 'object', type2: [] },
];

/** Replaces one value somewhere in a body, or adds a field. */
function mutated(body: unknown, roll: (n: number) => number): unknown {
  if (typeof body !== 'object' || body === null || roll(4) === 0) return strange[roll(strange.length)];
  if (Array.isArray(body))
    return body.map((each, i) => (i === roll(body.length) ? mutated(each, roll) : each));
  const keys = [...Object.keys(body), 'constructor', '__proto__', 'n', 'seed', 'logprobs'];
  const key = keys[roll(keys.length)];
  return { ...body, [key]: mutated((body as Record<string, unknown>)[key], roll) };
}

describe('bodies that nobody meant', () => {
  it('of wrong values get an answer or a 4xx that names the problem, never a 5xx', async () => {
    const { app } = startServer({ models: [chatModel()] });
    const headers = { 'content-type': 'application/json' };
    const roll = dice(1);
    const seen = new Set<number>();
    for (let i = 0; i < 400; i++) {
      let body: unknown = valid;
      for (let times = roll(3); times >= 0; times--) body = mutated(body, roll);
      const url = i % 2 ? '/v1/chat/completions' : '/v1/completions';
      const response = await app.inject({ method: 'POST', url, headers, payload: JSON.stringify(body) });
      seen.add(response.statusCode);
      expect(response.statusCode, JSON.stringify(body)).toBeLessThan(500);
    }
    expect(seen.has(400)).toBe(true);
  });

  it('of random bytes get a 400, and no later one suffers', async () => {
    const { app, post } = startServer({ models: [chatModel()] });
    const roll = dice(2);
    const json = Buffer.from(JSON.stringify(valid));
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(json);
      for (let times = roll(6); times >= 0; times--) bytes[roll(bytes.length)] = roll(256);
      const payload = roll(3) === 0 ? bytes.subarray(0, roll(bytes.length)) : bytes;
      const headers = { 'content-type': 'application/json' };
      const response = await app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
      expect(response.statusCode, payload.toString('latin1')).toBeLessThan(500);
    }
    expect((await post('/v1/chat/completions', valid)).statusCode).toBe(200);
  });

  it.each([
    ['deeply nested', '['.repeat(100_000)],
    [
      'a bomb of a schema',
      schemaBody({ $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } } }),
    ],
    ['a deep schema', schemaBody(nested(2000))],
    ['a huge enum', schemaBody({ enum: Array.from({ length: 50_000 }, (_, i) => i) })],
    ['a catastrophic regex', schemaBody({ type: 'string', pattern: `${'(a*)*'.repeat(30)}b{1000000}` })],
  ])('%s is refused', async (_, payload) => {
    const { app, post } = startServer({ models: [chatModel()] });
    const headers = { 'content-type': 'application/json' };
    const response = await app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
    expect(response.statusCode).toBe(400);
    expect((await post('/v1/chat/completions', valid)).statusCode).toBe(200);
  });

  it('of 100 MB are refused before they are read', async () => {
    const { app } = startServer({ models: [chatModel()] });
    const headers = { 'content-type': 'application/json' };
    const payload = Buffer.alloc(100 * 2 ** 20, 'a');
    const response = await app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
    expect(response.statusCode).toBe(413);
  });
});

describe('addresses that nobody meant', () => {
  it.each([
    '/v1/models/../../../etc/passwd',
    '/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v1/models/%00',
    '/v1/models/%ff',
    '/src/page/page.js',
    '/..%5c..%5cpackage.json',
    `/${'a'.repeat(10_000)}`,
  ])('%s: no file, no crash', async (url) => {
    const { app } = startServer({ models: [chatModel()] });
    const response = await app.inject({ url });
    expect([400, 404, 414]).toContain(response.statusCode);
    expect(response.json().error.type).toBe('invalid_request_error');
  });
});

describe('headers that nobody meant', () => {
  it('are answered with an error, or the connection ends; the next client is served', async () => {
    const engine = createEngine([chatModel()]);
    const server = await serveEngine(engine, { port: 0 });
    onTestFinished(() => server.close());
    const { port } = new URL(server.url);
    const roll = dice(3);
    const lines = [
      'Content-Length: -5',
      'Content-Length: 5\r\nContent-Length: 6',
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\n\r\nZZ\r\n',
      'Authorization: Bearer \u0001',
      `X-A: ${'b'.repeat(30_000)}`,
      'Content-Type: application/json; charset=utf-16',
      'Expect: 200-maybe',
      'Connection: upgrade\r\nUpgrade: h2c',
      ': empty',
      'No colon',
    ];
    for (let i = 0; i < 60; i++) {
      const head = `POST /v1/completions HTTP/1.${roll(3)}\r\nHost: a\r\n${lines[i % lines.length]}`;
      const status = await new Promise<string>((resolve) => {
        let text = '';
        const socket = connect(Number(port), '127.0.0.1');
        socket.on('data', (data) => {
          text += data;
          socket.end();
        });
        socket.on('close', () => resolve(text.split('\r\n')[0]));
        socket.on('error', () => {});
        socket.end(`${head}\r\n\r\n{"a`);
      });
      expect(status, head).toMatch(/^(HTTP\/1\.1 4\d\d .*)?$/);
    }
    expect((await fetch(`${server.url}health`)).status).toBe(200);
  });
});

function schemaBody(schema: object): string {
  return JSON.stringify({
    model: 'tiny',
    messages: valid.messages,
    max_tokens: 50,
    response_format: { type: 'json_schema', json_schema: { name: 'a', schema } },
  });
}

function nested(depth: number): object {
  let schema: object = { type: 'string' };
  for (let i = 0; i < depth; i++) schema = { type: 'array', items: schema };
  return schema;
}
