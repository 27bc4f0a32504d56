import { describe, expect, it } from 'vitest';
import { readStream, startServer } from './support/server.js';
import { brokenModel, chatModel, tinyModel } from './support/tiny.js';

const completion = { model: 'tiny', prompt: 'Hello', max_tokens: 4 };
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 };

function expectError(
  response: { statusCode: number; json(): unknown },
  status: number,
  code: string,
  param: string | null,
) {
  expect(response.json()).toEqual({
    error: {
      message: expect.stringMatching(/\w+.*\.$/s),
      type: expect.stringMatching(/_error$/),
      param,
      code,
    },
  });
  expect(response.statusCode).toBe(status);
}

describe('parameters', () => {
  it.each<[object, string, string]>([
    [{ foo: 1 }, 'foo', 'unsupported_parameter'],
    [{ tools: [] }, 'tools', 'invalid_value'],
    [{ user: 5 }, 'user', 'invalid_type'],
    [{ modalities: ['text', 'audio'] }, 'modalities', 'unsupported_parameter'],
    [{ service_tier: 'flex' }, 'service_tier', 'unsupported_parameter'],
    [{ safety_identifier: {} }, 'safety_identifier', 'invalid_type'],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value'],
    [{ store: true }, 'store', 'unsupported_parameter'],
    [{ model: undefined }, 'model', 'missing_required_parameter'],
    [{ model: 7 }, 'model', 'invalid_type'],
    [{ messages: undefined }, 'messages', 'missing_required_parameter'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: 'Hi' }, 'messages', 'invalid_type'],
    [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role', 'invalid_value'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'missing_required_parameter'],
    [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', 'invalid_type'],
    [{ messages: [{ role: 'user', content: 'a', name: 'b' }] }, 'messages[0].name', 'unsupported_parameter'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }] },
      'messages[0].content[0].type',
      'invalid_value',
    ],
    [{ messages: [{ role: 'user', content: 'half: \ud83d' }] }, 'messages[0].content', 'invalid_value'],
    [{ temperature: 2.5 }, 'temperature', 'invalid_value'],
    [{ temperature: 'hot' }, 'temperature', 'invalid_type'],
    [{ top_p: 0 }, 'top_p', 'invalid_value'],
    [{ top_k: -1 }, 'top_k', 'invalid_value'],
    [{ min_p: 1.5 }, 'min_p', 'invalid_value'],
    [{ presence_penalty: 2.5 }, 'presence_penalty', 'invalid_value'],
    [{ frequency_penalty: '1' }, 'frequency_penalty', 'invalid_type'],
    [{ repetition_penalty: 0 }, 'repetition_penalty', 'invalid_value'],
    [{ logit_bias: { 5: 101 } }, 'logit_bias.5', 'invalid_value'],
    [{ seed: 1.5 }, 'seed', 'invalid_type'],
    [{ max_tokens: 0 }, 'max_tokens', 'invalid_value'],
    [{ max_tokens: 3, max_completion_tokens: 4 }, 'max_tokens', 'invalid_value'],
    [{ n: 9 }, 'n', 'invalid_value'],
    [{ stop: [''] }, 'stop[0]', 'invalid_value'],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'invalid_value'],
    [{ stop: 5 }, 'stop', 'invalid_type'],
    [{ stream: 'yes' }, 'stream', 'invalid_type'],
    [{ stream_options: { include_usage: true } }, 'stream_options', 'invalid_value'],
    [
      { stream: true, stream_options: { include_obfuscation: true } },
      'stream_options.include_obfuscation',
      'invalid_value',
    ],
    [{ stream: true, stream_options: { foo: 1 } }, 'stream_options.foo', 'unsupported_parameter'],
    [{ top_logprobs: 2 }, 'top_logprobs', 'invalid_value'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'invalid_value'],
  ])('of chat are refused: %j', async (change, param, code) => {
    const { post } = startServer({ models: [chatModel()] });
    expectError(await post('/v1/chat/completions', { ...chat, ...change }), 400, code, param);
  });

  it.each<[object, string, string]>([
    [{ messages: [] }, 'messages', 'unsupported_parameter'],
    [{ prompt: undefined }, 'prompt', 'missing_required_parameter'],
    [{ prompt: [] }, 'prompt', 'invalid_value'],
    [{ prompt: [1, 'a'] }, 'prompt[1]', 'invalid_type'],
    [{ prompt: [[]] }, 'prompt[0]', 'invalid_value'],
    [{ prompt: { text: 'a' } }, 'prompt', 'invalid_type'],
    [{ echo: true }, 'echo', 'unsupported_parameter'],
    [{ best_of: 2 }, 'best_of', 'unsupported_parameter'],
    [{ suffix: 'end' }, 'suffix', 'unsupported_parameter'],
    [{ logprobs: true }, 'logprobs', 'invalid_type'],
  ])('of completion are refused: %j', async (change, param, code) => {
    const { post } = startServer();
    expectError(await post('/v1/completions', { ...completion, ...change }), 400, code, param);
  });
});

describe('requests that the engine refuses', () => {
  it('an unknown model', async () => {
    const { app, post } = startServer();
    expectError(
      await post('/v1/completions', { ...completion, model: 'gpt-9' }),
      404,
      'model_not_found',
      'model',
    );
    expectError(await app.inject('/v1/models/gpt-9'), 404, 'model_not_found', 'model');
  });

  it.each([false, true])('a prompt that does not fit, stream: %s', async (stream) => {
    const { post } = startServer();
    const body = { ...completion, prompt: 'word '.repeat(100), stream };
    const response = await post('/v1/completions', body);
    expectError(response, 400, 'context_length_exceeded', null);
    expect(response.json().error.message).toContain('at most 256');
  });

  it('messages for a model without a chat template', async () => {
    const { post } = startServer();
    expectError(await post('/v1/chat/completions', chat), 400, 'model_has_no_chat_template', 'model');
  });

  it('a token id that is none', async () => {
    const { post } = startServer();
    expectError(
      await post('/v1/completions', { ...completion, prompt: [5, 999] }),
      400,
      'invalid_value',
      null,
    );
  });

  it('too many at once: 503 and when to come back', async () => {
    const { post, engine } = startServer({ limits: { maxRunning: 1, maxWaiting: 1 } });
    const response = await post('/v1/completions', { ...completion, n: 4, max_tokens: 50 });
    expectError(response, 503, 'overloaded', null);
    expect(response.headers['retry-after']).toBe('1');
    expect((await post('/v1/completions', completion)).statusCode).toBe(200);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });
});

describe('bodies', () => {
  const send = (payload: string | Buffer, type = 'application/json', options = {}) => {
    const { app } = startServer(options);
    return app.inject({ method: 'POST', url: '/v1/completions', payload, headers: { 'content-type': type } });
  };

  it.each([
    ['cut off', '{"model": "tiny", "prompt": "secret text'],
    ['not JSON', 'model=tiny'],
    ['empty', ''],
    ['with a poisoned prototype', '{"model":"tiny","prompt":"a","__proto__":{"x":1}}'],
    ['in broken UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ])('%s: 400, and nothing of it is repeated', async (_, payload) => {
    const response = await send(payload);
    expectError(response, 400, 'invalid_json', null);
    expect(response.body).not.toContain('secret');
  });

  it.each(['null', '[]', '"text"', '7'])('that are no object: %s', async (payload) => {
    expectError(await send(payload), 400, 'invalid_type', null);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream'])(
    'of type %s: 415',
    async (type) => {
      expectError(await send('{"model":"tiny","prompt":"a"}', type), 415, 'unsupported_media_type', null);
    },
  );

  it('that are too large: 413', async () => {
    const payload = JSON.stringify({ ...completion, prompt: 'a'.repeat(3000) });
    expectError(await send(payload, 'application/json', { bodyLimit: 2000 }), 413, 'request_too_large', null);
  });

  it('nested deeply', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect((await send(`{"model":"tiny","prompt":${deep}}`)).statusCode).toBe(400);
  });

  it('with a character set in the header are fine', async () => {
    expect((await send(JSON.stringify(completion), 'application/json; charset=utf-8')).statusCode).toBe(200);
  });
});

describe('other addresses', () => {
  it.each<['GET' | 'POST', string]>([
    ['GET', '/nothing'],
    ['GET', '/v1/completions'],
    ['POST', '/health'],
    ['GET', '/page.js'],
  ])('%s %s: 404', async (method, url) => {
    const { app } = startServer();
    expectError(await app.inject({ method, url }), 404, 'unknown_url', null);
  });
});

it('an address that is none: 400', async () => {
  const { app } = startServer();
  expectError(await app.inject('/v1/models/%zz'), 400, 'invalid_request', null);
});

describe('a model that fails', () => {
  it('gives 500 without inner details', async () => {
    const { post } = startServer({ models: [tinyModel(), brokenModel()] });
    const response = await post('/v1/completions', { ...completion, model: 'broken' });
    expectError(response, 500, 'generation_failed', null);
    expect((await post('/v1/completions', completion)).statusCode).toBe(200);
  });

  it('ends a stream with the error and without [DONE]', async () => {
    const { post } = startServer({ models: [brokenModel()] });
    const response = await post('/v1/completions', { ...completion, model: 'broken', stream: true });
    const error = {
      message: 'The model failed on this request.',
      type: 'server_error',
      param: null,
      code: 'generation_failed',
    };
    expect(readStream(response.body)).toEqual({ chunks: [{ error }], done: false });
  });
});
