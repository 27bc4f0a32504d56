import { chatTemplate } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import type { Engine, GenerationEvent } from '../src/index.js';
import { createEngine, createServer } from '../src/index.js';
import { readStream, startServer, textOf } from './support/server.js';
import { byteTokenizer, chatModel } from './support/tiny.js';
import { toolTemplates } from './support/tool-templates.js';

const tokenizer = byteTokenizer();
const template = (source: string) => chatTemplate(tokenizer, { source });
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'weather', description: 'How it is.', parameters } }];
const user = { role: 'user', content: 'Rome?' };

/** A model with a template, which does not answer by itself: it says `answer`, letter by letter. */
function speaking(format: keyof typeof toolTemplates, answer: string) {
  const model = chatModel({ chatTemplate: template(toolTemplates[format]), contextLength: 2048 });
  const engine = createEngine([chatModel({ ...model, contextLength: 256 })]);
  const prompts: unknown[] = [];
  const formats: unknown[] = [];
  async function* said(): AsyncGenerator<GenerationEvent> {
    yield { type: 'start', promptTokens: 1 };
    for (const letter of answer) yield { type: 'text', text: letter };
    const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: answer.length };
    yield { type: 'finish', reason: 'stop', usage };
  }
  const scripted: Engine = Object.create(engine, {
    submit: {
      value: ({ prompt, format }: Parameters<Engine['submit']>[0]) => {
        prompts.push(prompt);
        formats.push(format);
        return said();
      },
    },
  });
  const app = createServer(scripted);
  const post = (body: object) =>
    app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      payload: { model: 'tiny', messages: [user], tools, ...body },
    });
  return { post, prompts, formats };
}

const answers = {
  hermes: '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
  llama3: '{"name": "weather", "parameters": {"city": "Rome"}}',
  mistral: '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}}]',
};
const called = {
  id: expect.stringMatching(/^[0-9a-z]{9}$/),
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"Rome"}' },
};

describe.each(Object.keys(answers) as (keyof typeof answers)[])('functions as %s calls them', (format) => {
  it('are seen in the template', () => {
    const { engine } = startServer({
      models: [chatModel({ chatTemplate: template(toolTemplates[format]) })],
    });
    expect(engine.models()[0].toolFormat).toBe(format);
  });

  it('are told whole', async () => {
    const { post } = speaking(format, answers[format]);
    const { choices } = (await post({})).json();
    expect(choices[0].message).toEqual({
      role: 'assistant',
      content: null,
      refusal: null,
      tool_calls: [called],
    });
    expect(choices[0].finish_reason).toBe('tool_calls');
  });

  it('are told in a stream', async () => {
    const { post } = speaking(format, answers[format]);
    const { chunks, done } = readStream((await post({ stream: true })).body);
    const deltas = chunks.flatMap(({ choices }) => choices);
    expect(done).toBe(true);
    expect(textOf(chunks)).toBe('');
    expect(deltas.map(({ delta }) => delta).filter((delta) => delta && 'tool_calls' in delta)).toEqual([
      { tool_calls: [{ index: 0, ...called }] },
    ]);
    expect(deltas.at(-1)?.finish_reason).toBe('tool_calls');
  });

  it('and what they gave goes back to the model', async () => {
    const { post, prompts } = speaking(format, 'It rains.');
    const { message } = (await speaking(format, answers[format]).post({})).json().choices[0];
    const result = { role: 'tool', content: 'rain', tool_call_id: message.tool_calls[0].id };
    const response = await post({ messages: [user, message, result] });
    expect(response.json().choices[0]).toMatchObject({
      message: { content: 'It rains.' },
      finish_reason: 'stop',
    });
    const { messages, tools: shown } = prompts[0] as { messages: []; tools: [] };
    const text = template(toolTemplates[format]).apply(messages, { tools: shown });
    expect(text).toMatch(/"(arguments|parameters)": ?\{"city": ?"Rome"\}/);
    expect(text).toContain('rain');
  });
});

describe('tools', () => {
  it('are refused for a model whose template knows of none', async () => {
    const { post } = startServer({ models: [chatModel()] });
    const response = await post('/v1/chat/completions', {
      model: 'tiny',
      messages: [user],
      tools,
      max_tokens: 2,
    });
    expect([response.statusCode, response.json().error.param]).toEqual([400, 'tools']);
    const none = { model: 'tiny', messages: [user], tools, tool_choice: 'none', max_tokens: 2 };
    expect((await post('/v1/chat/completions', none)).statusCode).toBe(200);
  });

  it('of real text change nothing when no function is called', async () => {
    const { post } = startServer({
      models: [chatModel({ chatTemplate: template(toolTemplates.mistral), contextLength: 256 })],
    });
    const body = { model: 'tiny', messages: [{ role: 'user', content: 'x' }], max_tokens: 8, temperature: 0 };
    const short = [{ type: 'function', function: { name: 'f' } }];
    const whole = (await post('/v1/chat/completions', { ...body, tools: short, logprobs: true })).json();
    const stream = await post('/v1/chat/completions', {
      ...body,
      tools: short,
      logprobs: true,
      stream: true,
    });
    const { chunks } = readStream(stream.body);
    expect(textOf(chunks)).toBe(whole.choices[0].message.content);
    const logprobs = chunks
      .flatMap(({ choices }) => choices)
      .flatMap((choice) => choice.logprobs?.content ?? []);
    expect(logprobs).toEqual(whole.choices[0].logprobs.content);
    expect(whole.choices[0].message).not.toHaveProperty('tool_calls');
  });

  it.each([
    [{}, undefined],
    [{ parallel_tool_calls: true }, undefined],
    [
      { parallel_tool_calls: false },
      { style: 'hermes', single: true, functions: [{ name: 'weather', parameters: { type: 'object' } }] },
    ],
    [
      { tools: [{ type: 'function', function: { name: 'weather', strict: true, parameters } }] },
      { style: 'hermes', single: false, functions: [{ name: 'weather', parameters }] },
    ],
    [
      { tool_choice: 'required' },
      { style: 'forced', single: false, functions: [{ name: 'weather', parameters }] },
    ],
  ])('keep answers to what %j demands', async (change, format) => {
    const { post, formats } = speaking('hermes', answers.hermes);
    expect((await post(change)).statusCode).toBe(200);
    expect(formats).toEqual([format && { type: 'tool-calls', ...format }]);
  });

  it('of a strict schema that cannot be followed are refused by name, before anything is written', async () => {
    const { post } = startServer({
      models: [chatModel({ chatTemplate: template(toolTemplates.hermes), positions: 2048 })],
    });
    const odd = { type: 'object', properties: { a: { not: { type: 'string' } } } };
    const body = (strict: boolean) => ({
      model: 'tiny',
      messages: [user],
      tools: [{ type: 'function', function: { name: 'odd', strict, parameters: odd } }],
      max_tokens: 2,
    });
    const response = await post('/v1/chat/completions', body(true));
    expect(response.statusCode).toBe(400);
    expect(response.json().error.message).toMatch(/keyword not .*the function odd: #\/properties\/a\/not/);
    expect((await post('/v1/chat/completions', body(false))).statusCode).toBe(200);
  });

  it.each(['required', { type: 'function', function: { name: 'weather' } }])(
    'are called when %j',
    async (choice) => {
      const { post } = startServer({
        models: [chatModel({ chatTemplate: template(toolTemplates.hermes), positions: 2048 })],
      });
      const other = { type: 'function', function: { name: 'other' } };
      const offered = typeof choice === 'object' ? [...tools, other] : tools;
      const body = {
        model: 'tiny',
        messages: [user],
        tools: offered,
        tool_choice: choice,
        max_tokens: 80,
        seed: 4,
      };
      const whole = (await post('/v1/chat/completions', body)).json();
      const [{ message, finish_reason: reason }] = whole.choices;
      expect(reason).toBe('tool_calls');
      expect(message.tool_calls).toHaveLength(1);
      expect(message.tool_calls[0].function.name).toBe('weather');
      expect(JSON.parse(message.tool_calls[0].function.arguments)).toEqual({ city: expect.any(String) });
      const { chunks } = readStream((await post('/v1/chat/completions', { ...body, stream: true })).body);
      expect(textOf(chunks)).toBe('');
      expect(JSON.stringify(chunks)).toContain(JSON.stringify(message.tool_calls[0].function));
    },
  );

  it.each([
    [{ tool_choice: 'required', tools: undefined }, 'tool_choice'],
    [{ tool_choice: { type: 'function', function: { name: 'other' } } }, 'tool_choice'],
    [{ tool_choice: 'maybe' }, 'tool_choice'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ parallel_tool_calls: 1 }, 'parallel_tool_calls'],
    [{ tools: [] }, 'tools'],
    [{ tools: [...tools, ...tools] }, 'tools'],
    [{ tools: [{ type: 'code_interpreter' }] }, 'tools[0].type'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name'],
    [{ tools: [{ type: 'function', function: { name: 'a', strict: 'yes' } }] }, 'tools[0].function.strict'],
    [
      { tools: [{ type: 'function', function: { name: 'a', parameters: { type: 'string' } } }] },
      'tools[0].function.parameters',
    ],
    [{ messages: [user, { role: 'assistant' }] }, 'messages[1].content'],
    [{ messages: [user, { role: 'tool', content: 'x' }] }, 'messages[1].tool_call_id'],
    [
      {
        messages: [
          user,
          {
            role: 'assistant',
            tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '[' } }],
          },
        ],
      },
      'messages[1].tool_calls[0].function.arguments',
    ],
  ])('refuse %j', async (change, param) => {
    const { post } = speaking('hermes', '');
    const response = await post(change);
    expect([response.statusCode, response.json().error.param]).toEqual([400, param]);
  });
});
