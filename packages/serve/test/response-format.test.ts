import { describe, expect, it } from 'vitest';
import { readStream, startServer, textOf } from './support/server.js';
import { chatModel } from './support/tiny.js';

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 60, seed: 1 };
const schema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 8 }, degrees: { type: 'integer' } },
  required: ['city', 'degrees'],
};
const jsonSchema = { type: 'json_schema', json_schema: { name: 'weather', schema, strict: true } };

describe('response_format', () => {
  it('text changes nothing', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const [plain, text] = [{}, { response_format: { type: 'text' } }];
    const answers = await Promise.all(
      [plain, text].map((each) => post('/v1/chat/completions', { ...chat, ...each })),
    );
    const [a, b] = answers.map((answer) => answer.json().choices);
    expect(a).toEqual(b);
  });

  it.each([1, 2, 3])('json_schema is kept, whole and in a stream, with seed %d', async (seed) => {
    const { post } = startServer({ models: [chatModel()] });
    const body = { ...chat, seed, response_format: jsonSchema };
    const whole = (await post('/v1/chat/completions', body)).json().choices[0].message.content;
    expect(JSON.parse(whole)).toEqual({ city: expect.any(String), degrees: expect.any(Number) });
    const { chunks } = readStream((await post('/v1/chat/completions', { ...body, stream: true })).body);
    expect(textOf(chunks)).toBe(whole);
  });

  it('json_object, regex and grammar are kept, also by plain completion', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const complete = async (format: object) => {
      const body = { model: 'tiny', prompt: 'Hi', max_tokens: 40, seed: 2, response_format: format };
      return (await post('/v1/completions', body)).json().choices[0].text;
    };
    expect(typeof JSON.parse(await complete({ type: 'json_object' }))).toBe('object');
    expect(await complete({ type: 'regex', pattern: '[a-c]{3}-\\d+' })).toMatch(/^[a-c]{3}-\d+$/);
    expect(await complete({ type: 'grammar', grammar: 'root ::= ("yes" | "no") "!"' })).toMatch(
      /^(yes|no)!$/,
    );
  });

  it.each([
    [{ type: 'xml' }, 'response_format.type'],
    [{ type: 'json_schema' }, 'response_format.json_schema'],
    [{ type: 'json_schema', json_schema: { name: 'a b', schema } }, 'response_format.json_schema.name'],
    [{ type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object', if: {} } } }, null],
    [{ type: 'json_schema', json_schema: { name: 'a', schema: { minLength: 500, type: 'string' } } }, null],
    [{ type: 'regex', pattern: '(' }, null],
    [{ type: 'grammar', grammar: 'nonsense' }, null],
  ])('%j is refused', async (format, param) => {
    const { post } = startServer({ models: [chatModel()] });
    const response = await post('/v1/chat/completions', { ...chat, response_format: format });
    expect([response.statusCode, response.json().error.param]).toEqual([400, param]);
  });
});
