import { describe, expect, it, onTestFinished } from 'vitest';
import { readStream, startServer, textOf } from './support/server.js';
import { chatModel, tinyModel } from './support/tiny.js';

const completion = { model: 'tiny', prompt: 'Hello', max_tokens: 12, temperature: 0 };
const chat = {
  model: 'tiny',
  messages: [{ role: 'user', content: 'Hello' }],
  max_tokens: 12,
  temperature: 0,
};

describe('/v1/completions', () => {
  it('answers whole', async () => {
    const { post } = startServer();
    const response = await post('/v1/completions', completion);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'tiny',
      choices: [{ index: 0, text: expect.any(String), logprobs: null, finish_reason: 'length' }],
      usage: {
        prompt_tokens: 6,
        completion_tokens: 12,
        total_tokens: 18,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(response.json().choices[0].text).not.toBe('');
  });

  it('streams the same text', async () => {
    const { post } = startServer();
    const whole = (await post('/v1/completions', completion)).json();
    const response = await post('/v1/completions', { ...completion, stream: true });
    expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const { chunks, done } = readStream(response.body);
    expect(done).toBe(true);
    expect(textOf(chunks)).toBe(whole.choices[0].text);
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.map(({ choices }) => choices[0].finish_reason)).toEqual([
      ...new Array(chunks.length - 1).fill(null),
      'length',
    ]);
    expect(chunks.every((chunk) => !('usage' in chunk) && chunk.id === chunks[0].id)).toBe(true);
  });

  it('takes token ids, and several prompts at once', async () => {
    const { post } = startServer();
    const one = await post('/v1/completions', { ...completion, prompt: [256, 72] });
    const two = await post('/v1/completions', {
      ...completion,
      prompt: [
        [256, 72],
        [256, 73],
      ],
    });
    const texts = await post('/v1/completions', { ...completion, prompt: ['H', 'I'] });
    expect(one.json().usage.prompt_tokens).toBe(2);
    expect(two.json().choices.map(({ index }: { index: number }) => index)).toEqual([0, 1]);
    expect(two.json().choices[0].text).toBe(one.json().choices[0].text);
    expect(two.json().usage.prompt_tokens).toBe(4);
    expect(texts.json().choices).toEqual(two.json().choices);
  });

  it('gives 16 tokens when nothing is said', async () => {
    const { post } = startServer();
    const { max_tokens: _, ...rest } = completion;
    expect((await post('/v1/completions', rest)).json().usage.completion_tokens).toBe(16);
  });

  it('gives n answers, reproducible with a seed', async () => {
    const { post } = startServer();
    const body = { ...completion, temperature: 1, seed: 5, n: 3 };
    const first = (await post('/v1/completions', body)).json();
    expect((await post('/v1/completions', body)).json().choices).toEqual(first.choices);
    expect(new Set(first.choices.map(({ text }: { text: string }) => text)).size).toBe(3);
    expect(first.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 36 });
    const second = (await post('/v1/completions', { ...body, n: 1, seed: 6 })).json();
    expect(second.choices[0].text).toBe(first.choices[1].text);
  });

  it('gives many answers to many prompts in one request', async () => {
    const { post } = startServer();
    const warnings: Error[] = [];
    const listener = (warning: Error) => warnings.push(warning);
    process.on('warning', listener);
    onTestFinished(() => {
      process.off('warning', listener);
    });
    const body = { ...completion, prompt: ['a', 'b', 'c', 'd'], n: 5, max_tokens: 2, temperature: 1 };
    const { choices, usage } = (await post('/v1/completions', body)).json();
    expect(choices).toHaveLength(20);
    expect(usage).toEqual({
      prompt_tokens: 8,
      completion_tokens: expect.any(Number),
      total_tokens: expect.any(Number),
      prompt_tokens_details: { cached_tokens: 0 },
    });
    expect(warnings).toEqual([]);
  });

  it('reports log probabilities', async () => {
    const { post } = startServer();
    const { logprobs } = (await post('/v1/completions', { ...completion, logprobs: 3, max_tokens: 5 })).json()
      .choices[0];
    expect(logprobs.tokens).toHaveLength(5);
    expect(logprobs.token_logprobs.every((value: number) => value < 0)).toBe(true);
    expect(Object.keys(logprobs.top_logprobs[0])).toHaveLength(3);
    // Greedy: the token taken is the most likely one.
    expect(logprobs.top_logprobs[0][logprobs.tokens[0]]).toBe(logprobs.token_logprobs[0]);
  });

  it('ends before a stop string', async () => {
    const { post } = startServer();
    const { text } = (await post('/v1/completions', completion)).json().choices[0];
    const stop = text.slice(2, 4);
    const stopped = (await post('/v1/completions', { ...completion, stop })).json().choices[0];
    expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
  });

  it('forces, forbids and penalizes tokens', async () => {
    const { post } = startServer();
    const ask = async (parameters: object) =>
      (await post('/v1/completions', { ...completion, logprobs: 0, ...parameters })).json();
    const tokensOf = async (parameters: object) => (await ask(parameters)).choices[0].logprobs.tokens;
    const plain = await tokensOf({});
    const forced = await tokensOf({ logit_bias: { 70: 100 } });
    expect(new Set(forced).size).toBe(1);
    expect(await tokensOf({ presence_penalty: 0.001, min_p: 0.01, repetition_penalty: 1 })).toEqual(plain);
    const spread = await tokensOf({ frequency_penalty: 2, logit_bias: { 70: 1 } });
    expect(spread).not.toEqual(plain);
    const unknown = await ask({ logit_bias: { 99999: 1 } });
    expect(unknown.error).toMatchObject({ message: expect.stringContaining('unknown token id') });
  });

  it('who asks, and what OpenAI would do by itself, changes nothing', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const plain = (await post('/v1/chat/completions', { ...chat, seed: 1 })).json();
    const named = { user: 'a', safety_identifier: 'b', service_tier: 'auto', modalities: ['text'] };
    const answer = await post('/v1/chat/completions', { ...chat, seed: 1, ...named });
    expect(answer.json().choices).toEqual(plain.choices);
    const streamed = { stream: true, stream_options: { include_obfuscation: false, include_usage: true } };
    expect((await post('/v1/chat/completions', { ...chat, ...streamed })).statusCode).toBe(200);
    expect((await post('/v1/completions', { ...completion, user: 'a' })).statusCode).toBe(200);
  });

  it('takes null for parameters that are not set', async () => {
    const { post } = startServer();
    const nothing = {
      stop: null,
      seed: null,
      n: null,
      stream: null,
      logprobs: null,
      suffix: null,
      top_p: null,
      min_p: null,
      logit_bias: null,
    };
    const neutral = { presence_penalty: 0, frequency_penalty: 0, best_of: 1, echo: false };
    const plain = (await post('/v1/completions', completion)).json();
    const response = await post('/v1/completions', { ...completion, ...nothing, ...neutral });
    expect(response.json().choices).toEqual(plain.choices);
  });
});

describe('/v1/chat/completions', () => {
  it('answers whole', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const response = await post('/v1/chat/completions', chat);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'tiny',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: expect.any(String), refusal: null },
          logprobs: null,
          finish_reason: 'length',
        },
      ],
      usage: {
        prompt_tokens: expect.any(Number),
        completion_tokens: 12,
        total_tokens: expect.any(Number),
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
  });

  it('continues the text that the template makes of the messages', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const messages = [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hel' },
          { type: 'text', text: 'lo' },
        ],
      },
    ];
    const answer = (await post('/v1/chat/completions', { ...chat, messages })).json();
    const text = 'system: Be brief.\nuser: Hello\nassistant: ';
    const ids = [...new TextEncoder().encode(text)];
    const direct = (await post('/v1/completions', { ...completion, prompt: ids })).json();
    expect(answer.choices[0].message.content).toBe(direct.choices[0].text);
    expect(direct.usage).toEqual({ ...answer.usage, prompt_tokens_details: { cached_tokens: 32 } });
  });

  it('streams: role first, then pieces, the reason, usage and [DONE]', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const whole = (await post('/v1/chat/completions', chat)).json();
    const body = { ...chat, stream: true, stream_options: { include_usage: true } };
    const { chunks, done } = readStream((await post('/v1/chat/completions', body)).body);
    expect(done).toBe(true);
    const last = chunks.pop();
    expect(last?.choices).toEqual([]);
    expect(last?.usage).toEqual({ ...whole.usage, prompt_tokens_details: { cached_tokens: 16 } });
    expect(chunks.every(({ usage, object }) => usage === null && object === 'chat.completion.chunk')).toBe(
      true,
    );
    expect(chunks[0].choices).toEqual([
      { index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
    ]);
    expect(chunks.at(-1)?.choices).toEqual([
      { index: 0, delta: {}, logprobs: null, finish_reason: 'length' },
    ]);
    expect(textOf(chunks)).toBe(whole.choices[0].message.content);
  });

  it('streams several answers side by side', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const body = { ...chat, temperature: 1, n: 2, seed: 3 };
    const whole = (await post('/v1/chat/completions', body)).json();
    const { chunks } = readStream((await post('/v1/chat/completions', { ...body, stream: true })).body);
    for (const index of [0, 1]) {
      const own = chunks.map(({ choices }) => choices[0]).filter((choice) => choice.index === index);
      expect(own[0].delta?.role).toBe('assistant');
      expect(textOf(chunks, index)).toBe(whole.choices[index].message.content);
      expect(own.at(-1)?.finish_reason).toBe(whole.choices[index].finish_reason);
    }
  });

  it('uses what is left of the context when no limit is given', async () => {
    const { post } = startServer({ models: [chatModel({ contextLength: 48 })] });
    const { max_tokens: _, ...rest } = chat;
    const { usage } = (await post('/v1/chat/completions', rest)).json();
    expect(usage.total_tokens).toBe(48);
  });

  it('reports log probabilities with exact bytes', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const body = { ...chat, logprobs: true, top_logprobs: 2, max_tokens: 6 };
    const whole = (await post('/v1/chat/completions', body)).json().choices[0];
    expect(whole.logprobs.content).toHaveLength(6);
    const bytes = whole.logprobs.content.flatMap((token: { bytes: number[] }) => token.bytes);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(whole.message.content);
    expect(whole.logprobs.content[0].top_logprobs).toHaveLength(2);
    const { chunks } = readStream((await post('/v1/chat/completions', { ...body, stream: true })).body);
    const streamed = chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
    expect(streamed).toEqual(whole.logprobs.content);
  });
});

describe('several models', () => {
  it('are chosen by name', async () => {
    const { app, post } = startServer({ models: [tinyModel(), tinyModel({ name: 'org/other', seed: 2 })] });
    const [one, other] = await Promise.all(
      ['tiny', 'org/other'].map((model) => post('/v1/completions', { ...completion, model })),
    );
    expect(one.json().choices[0].text).not.toBe(other.json().choices[0].text);
    expect(other.json().model).toBe('org/other');
    const list = (await app.inject('/v1/models')).json();
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual(['tiny', 'org/other']);
    expect((await app.inject('/v1/models/org/other')).json()).toEqual(list.data[1]);
    expect((await app.inject('/v1/models/org%2Fother')).json()).toEqual(list.data[1]);
  });
});

describe('/', () => {
  it('is the chat page', async () => {
    const { app } = startServer();
    const response = await app.inject('/');
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
    });
    expect(response.body).toContain('<main id="thread"');
  });
});

describe('/health', () => {
  it('counts what waits and runs', async () => {
    const { app } = startServer();
    expect((await app.inject('/health')).json()).toEqual({ status: 'ok', waiting: 0, running: 0 });
  });
});
