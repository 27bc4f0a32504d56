import { chatTemplate } from '@frugal/tokenizers';
import OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { ApiKeys, createEngine, hashApiKey, serveEngine } from '../src/index.js';
import { byteTokenizer, chatModel } from './support/tiny.js';
import { tinyEncoder } from './support/tiny-encoder.js';
import { toolTemplates } from './support/tool-templates.js';

/** The official client of OpenAI, over HTTP. */
async function client(options: { apiKey?: string; maxRetries?: number } = {}) {
  const engine = createEngine([chatModel(), caller(), tinyEncoder()], { maxRunning: 4 });
  const apiKeys = new ApiKeys([{ name: 'test', sha256: hashApiKey('right') }]);
  const server = await serveEngine(engine, { port: 0, apiKeys });
  onTestFinished(() => server.close());
  return new OpenAI({ baseURL: `${server.url}v1`, apiKey: 'right', maxRetries: 0, ...options });
}

/** A model that is shown functions. */
function caller() {
  const template = chatTemplate(byteTokenizer(), { source: toolTemplates.hermes });
  return chatModel({ name: 'caller', chatTemplate: template, positions: 4096 });
}

const messages = [{ role: 'user' as const, content: 'Hello' }];
const chat = { model: 'tiny', messages, max_completion_tokens: 12, temperature: 0 };
const completion = { model: 'tiny', prompt: 'Hello', max_tokens: 12, temperature: 0 };

describe('the openai client', () => {
  it('lists and describes models', async () => {
    const openai = await client();
    const names: string[] = [];
    for await (const { id } of openai.models.list()) names.push(id);
    expect(names).toEqual(['tiny', 'caller', 'embedder']);
    expect(await openai.models.retrieve('tiny')).toMatchObject({ id: 'tiny', object: 'model' });
  });

  it('chats, whole and in a stream', async () => {
    const openai = await client();
    const whole = await openai.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 2 });
    expect(whole.choices[0].logprobs?.content).toHaveLength(12);
    const stream = await openai.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
    });
    let [text, usage]: [string, unknown] = ['', null];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0].message.content);
    expect(usage).toMatchObject({ completion_tokens: 12, total_tokens: whole.usage?.total_tokens });
  });

  it('has its helper for streams put the answer together', async () => {
    const openai = await client();
    const whole = await openai.chat.completions.create({ ...chat, n: 2, temperature: 1, seed: 3 });
    const streamed = await openai.chat.completions
      .stream({ ...chat, n: 2, temperature: 1, seed: 3 })
      .finalChatCompletion();
    const answers = ({ choices }: typeof whole) => choices.map(({ message }) => message.content);
    expect(answers(streamed)).toEqual(answers(whole));
    expect(streamed.choices.map(({ finish_reason }) => finish_reason)).toEqual(['length', 'length']);
  });

  it('completes, whole and in a stream', async () => {
    const openai = await client();
    const whole = await openai.completions.create({ ...completion, logprobs: 2 });
    let text = '';
    for await (const chunk of await openai.completions.create({ ...completion, stream: true })) {
      text += chunk.choices[0].text;
    }
    expect(text).toBe(whole.choices[0].text);
    expect(whole.choices[0].logprobs?.tokens).toHaveLength(12);
    expect(whole.usage?.completion_tokens).toBe(12);
  });

  it('embeds: what it asks for itself, and plain numbers', async () => {
    const openai = await client();
    const embedding = { model: 'embedder', input: ['Hello', 'x'] };
    const coded = await openai.embeddings.create(embedding);
    const plain = await openai.embeddings.create({ ...embedding, encoding_format: 'float' });
    expect(coded.data.map((each) => each.embedding)).toEqual(plain.data.map((each) => each.embedding));
    expect(plain.data[0].embedding).toHaveLength(32);
    expect(plain.usage.prompt_tokens).toBe(8);
  });

  it('stops a stream', async () => {
    const openai = await client();
    const stream = await openai.chat.completions.create({
      ...chat,
      max_completion_tokens: 200,
      stream: true,
    });
    for await (const _ of stream) break;
    expect((await openai.chat.completions.create(chat)).choices).toHaveLength(1);
  });

  it('has functions called whose helpers ask for strict ones, and not several at once', async () => {
    const openai = await client();
    const place = z.object({ name: z.string().max(8), zip: z.number().int().nullable() });
    const parameters = z.object({ place, unit: z.enum(['C', 'F']) });
    const weather = zodFunction({ name: 'weather', parameters, description: 'How it is.' });
    expect(weather).toMatchObject({ function: { strict: true } });
    const request = { model: 'caller', messages, max_completion_tokens: 150, parallel_tool_calls: false };
    for (const seed of [1, 2, 3]) {
      const answer = await openai.chat.completions.parse({
        ...{ ...request, seed, tools: [weather], tool_choice: 'required' as const },
      });
      const [call, ...others] = answer.choices[0].message.tool_calls ?? [];
      expect(others).toEqual([]);
      if (call?.type !== 'function') throw new Error('no function was called');
      expect(call.function.parsed_arguments).toEqual(parameters.parse(JSON.parse(call.function.arguments)));
      const free = await openai.chat.completions.create({ ...request, seed, tools: [weather] });
      expect(free.choices[0].message.tool_calls?.length ?? 0).toBeLessThanOrEqual(1);
    }
  });

  it.each([
    [{ model: 'other' }, OpenAI.NotFoundError, 'model_not_found', 'model'],
    [{ temperature: 3 }, OpenAI.BadRequestError, 'invalid_value', 'temperature'],
    [{ max_completion_tokens: 5000 }, OpenAI.BadRequestError, 'context_length_exceeded', null],
    [{ audio: { format: 'mp3', voice: 'x' } }, OpenAI.BadRequestError, 'unsupported_parameter', 'audio'],
  ])('understands the error for %j', async (change, type, code, param) => {
    const openai = await client();
    const error = await openai.chat.completions
      .create({ ...chat, ...(change as object) })
      .catch((error) => error);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ code, param });
    expect(error.requestID).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is refused with a wrong key', async () => {
    const openai = await client({ apiKey: 'wrong' });
    await expect(openai.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  });
});
