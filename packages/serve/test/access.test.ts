import { describe, expect, it } from 'vitest';
import { ApiKeys, hashApiKey, newApiKey } from '../src/index.js';
import { startServer } from './support/server.js';

const body = { model: 'tiny', prompt: 'Hello', max_tokens: 2 };
const [alice, bob] = [newApiKey(), newApiKey()];
const entry = (name: string, key: string, limits?: object) => ({ name, sha256: hashApiKey(key), limits });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe('API keys', () => {
  const apiKeys = () => new ApiKeys([entry('alice', alice), entry('bob', bob, { requestsPerMinute: 2 })]);

  it.each([
    ['none', {}],
    ['a wrong one', bearer('wrong')],
    ['the hash of one', bearer(hashApiKey(alice))],
    ['another scheme', { authorization: `Basic ${alice}` }],
    ['two of them', { authorization: `Bearer ${alice} ${bob}` }],
    ['an empty one', { authorization: 'Bearer ' }],
  ])('%s: 401', async (_, headers) => {
    const { app } = startServer({ apiKeys: apiKeys() });
    const response = await app.inject({ method: 'POST', url: '/v1/completions', headers, payload: body });
    expect(response.statusCode).toBe(401);
    expect(response.headers['www-authenticate']).toBe('Bearer');
    expect(response.json().error).toMatchObject({ code: 'invalid_api_key', type: 'invalid_request_error' });
    expect(response.body).not.toContain(alice);
  });

  it('pay for each answer that a request asks for', async () => {
    const { app } = startServer({
      apiKeys: new ApiKeys([entry('bob', bob, { concurrentRequests: 4 })]),
    });
    const send = (n: number) =>
      app.inject({ method: 'POST', url: '/v1/completions', headers: bearer(bob), payload: { ...body, n } });
    expect((await send(5)).statusCode).toBe(429);
    expect((await send(4)).statusCode).toBe(200);
    expect((await send(4)).statusCode).toBe(200); // the first ended
  });

  it('that were all taken away let nobody in', async () => {
    const keys = apiKeys();
    const { app } = startServer({ apiKeys: keys });
    keys.replace([]);
    const anonymous = await app.inject({ url: '/v1/models' });
    const revoked = await app.inject({ url: '/v1/models', headers: bearer(alice) });
    expect([anonymous.statusCode, revoked.statusCode]).toEqual([401, 401]);
  });

  it.each([
    '/v1/models',
    '/%76%31/models',
    '/v1/models/tiny',
    '/metrics',
    '/nowhere',
    '//v1/models',
    '/v1/models?a=/',
  ])('guard %s', async (url) => {
    const { app } = startServer({ apiKeys: apiKeys() });
    expect((await app.inject({ url })).statusCode).toBe(401);
  });

  it('leave the page and the probes open', async () => {
    const { app } = startServer({ apiKeys: apiKeys() });
    for (const url of ['/', '/health', '/health/live'])
      expect((await app.inject({ url })).statusCode).toBe(200);
  });

  it('let their owners in, at their own rate', async () => {
    const { app } = startServer({ apiKeys: apiKeys(), clientLimits: { requestsPerMinute: 100 } });
    const post = (key: string) =>
      app.inject({ method: 'POST', url: '/v1/completions', headers: bearer(key), payload: body });
    const answers = [await post(bob), await post(bob), await post(bob), await post(alice)];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 429, 200]);
    expect(answers[2].json().error).toMatchObject({ code: 'rate_limit_exceeded', type: 'rate_limit_error' });
    expect(Number(answers[2].headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(answers[0].headers['x-ratelimit-remaining-requests']).toBe('1');
    expect(answers[3].headers['x-ratelimit-limit-requests']).toBe('100');
    expect((await app.inject({ url: '/v1/models', headers: bearer(bob) })).statusCode).toBe(200);
  });

  it('count what runs at the same time, and forget it when it ends', async () => {
    const { app } = startServer({ clientLimits: { concurrentRequests: 2 } });
    const post = () =>
      app.inject({ method: 'POST', url: '/v1/completions', payload: { ...body, max_tokens: 50 } });
    const codes = (await Promise.all([post(), post(), post()])).map(({ statusCode }) => statusCode);
    expect(codes.sort()).toEqual([200, 200, 429]);
    expect((await post()).statusCode).toBe(200);
  });

  it('can be replaced while the server runs; wrong ones leave the old ones in place', async () => {
    const keys = apiKeys();
    const { app } = startServer({ apiKeys: keys });
    const list = (key: string) => app.inject({ url: '/v1/models', headers: bearer(key) });
    expect(() => keys.replace([entry('a', bob), entry('a', bob)])).toThrow(/two keys have one name/);
    expect(() => keys.replace([{ name: 'a', sha256: 'secret' }])).toThrow(/64 hexadecimal digits/);
    expect((await list(alice)).statusCode).toBe(200);
    keys.replace([entry('carol', bob)]);
    expect((await list(alice)).statusCode).toBe(401);
    expect((await list(bob)).statusCode).toBe(200);
  });
});

describe('browsers', () => {
  const origin = 'https://example.com';
  const preflight = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-a',
  };

  it('may not use the API from other origins by default', async () => {
    const { app } = startServer();
    const response = await app.inject({ url: '/v1/models', headers: { origin } });
    expect(response.headers).not.toHaveProperty('access-control-allow-origin');
    expect((await app.inject({ method: 'OPTIONS', url: '/v1/models', headers: preflight })).statusCode).toBe(
      404,
    );
  });

  it('may from those that are named, also when the answer is an error', async () => {
    const { app } = startServer({ origins: [origin], apiKeys: new ApiKeys([entry('alice', alice)]) });
    const asked = await app.inject({ method: 'OPTIONS', url: '/v1/completions', headers: preflight });
    expect(asked.statusCode).toBe(204);
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-headers': 'x-a',
      vary: 'Origin',
    });
    const refused = await app.inject({ url: '/v1/models', headers: { origin } });
    expect([refused.statusCode, refused.headers['access-control-allow-origin']]).toEqual([401, origin]);
    const other = await app.inject({ url: '/v1/models', headers: { origin: 'https://other.example' } });
    expect(other.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('are told to be careful with every answer', async () => {
    const { app } = startServer();
    for (const url of ['/', '/v1/models', '/nowhere', '/health']) {
      const { headers } = await app.inject({ url });
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' });
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    }
  });
});
