import { describe, expect, it } from 'vitest';
import { startServer } from './support/server.js';
import { tinyModel } from './support/tiny.js';
import { tinyEncoder } from './support/tiny-encoder.js';

const start = () =>
  startServer({
    models: [tinyModel(), tinyEncoder(), tinyEncoder({ classes: 2, labels: ['no', 'yes'] })],
  });

const embedding = { model: 'embedder', input: 'Hello' };

describe('POST /v1/embeddings', () => {
  it('takes a text, ids, and several of either', async () => {
    const { post } = start();
    const ask = async (input: unknown) => (await post('/v1/embeddings', { ...embedding, input })).json();
    const one = await ask('Hello');
    expect(one).toMatchObject({
      object: 'list',
      model: 'embedder',
      data: [{ object: 'embedding', index: 0 }],
    });
    expect(one.data[0].embedding).toHaveLength(32);
    expect(one.usage).toEqual({ prompt_tokens: 6, total_tokens: 6 });
    const two = await ask(['x', 'Hello']);
    expect(two.data.map(({ index }: { index: number }) => index)).toEqual([0, 1]);
    expect(two.data[1].embedding).toEqual(one.data[0].embedding);
    const ids = [1, 2, 3];
    expect((await ask([ids, ids])).data[1].embedding).toEqual((await ask(ids)).data[0].embedding);
  });

  it('gives the same numbers as base64', async () => {
    const { post } = start();
    const [plain, coded] = await Promise.all(
      ['float', 'base64'].map(async (format) => {
        const response = await post('/v1/embeddings', { ...embedding, encoding_format: format });
        return response.json().data[0].embedding;
      }),
    );
    const bytes = Buffer.from(coded, 'base64');
    expect(plain.map((_: number, i: number) => bytes.readFloatLE(4 * i))).toEqual(plain);
  });

  it('cuts texts that are too long only when it is told to', async () => {
    const { post } = start();
    const long = { ...embedding, input: 'a'.repeat(100) };
    const refused = await post('/v1/embeddings', long);
    expect([refused.statusCode, refused.json().error.code]).toEqual([400, 'context_length_exceeded']);
    const cut = await post('/v1/embeddings', { ...long, truncate_prompt_tokens: -1 });
    expect(cut.json().usage.prompt_tokens).toBe(64);
  });

  it.each([
    [{ model: 'tiny' }, 400, 'model_does_not_do_this', 'model'],
    [{ model: 'classifier' }, 400, 'model_does_not_do_this', 'model'],
    [{ model: 'other' }, 404, 'model_not_found', 'model'],
    [{ input: [] }, 400, 'invalid_value', 'input'],
    [{ input: [1, 'x'] }, 400, 'invalid_value', 'input'],
    [{ input: [[1], 'x'] }, 400, 'invalid_value', 'input'],
    [{ input: [1, -1] }, 400, 'invalid_value', 'input[1]'],
    [{ input: undefined }, 400, 'missing_required_parameter', 'input'],
    [{ input: '\ud800' }, 400, 'invalid_value', 'input'],
    [{ dimensions: 16 }, 400, 'unsupported_parameter', 'dimensions'],
    [{ encoding_format: 'hex' }, 400, 'invalid_value', 'encoding_format'],
    [{ truncate_prompt_tokens: 0 }, 400, 'invalid_value', 'truncate_prompt_tokens'],
    [{ stream: true }, 400, 'unsupported_parameter', 'stream'],
  ])('refuses %j', async (change, status, code, param) => {
    const { post } = start();
    const response = await post('/v1/embeddings', { ...embedding, ...(change as object) });
    expect(response.statusCode).toBe(status);
    expect(response.json().error).toMatchObject({ code, param });
  });

  it('refuses more texts than OpenAI takes', async () => {
    const { post } = start();
    const response = await post('/v1/embeddings', { ...embedding, input: new Array(2049).fill('x') });
    expect(response.json().error).toMatchObject({ code: 'invalid_value', param: 'input' });
  });
});

describe('POST /classify', () => {
  it('answers as vLLM does', async () => {
    const { post } = start();
    const response = await post('/classify', { model: 'classifier', input: ['Hello', 'x'] });
    const { id, object, data, usage } = response.json();
    expect([object, usage]).toEqual(['list', { prompt_tokens: 8, total_tokens: 8 }]);
    expect(id).toMatch(/^classify-/);
    for (const [index, each] of data.entries()) {
      expect(each).toMatchObject({ index, num_classes: 2 });
      expect(each.probs[0] + each.probs[1]).toBeCloseTo(1, 6);
      expect(each.label).toBe(each.probs[0] > each.probs[1] ? 'no' : 'yes');
    }
    const raw = await post('/classify', { model: 'classifier', input: 'Hello', use_activation: false });
    const [no, yes] = raw.json().data[0].probs;
    expect(data[0].probs[1] / data[0].probs[0]).toBeCloseTo(Math.exp(yes - no), 4);
  });

  it('is for classifiers', async () => {
    const { post } = start();
    const response = await post('/classify', { model: 'embedder', input: 'Hello' });
    expect([response.statusCode, response.json().error.code]).toEqual([400, 'model_does_not_do_this']);
  });
});

it('what a model does stands on its card; others refuse to write', async () => {
  const { app, post } = start();
  const { data } = (await app.inject({ url: '/v1/models' })).json();
  expect(data).toMatchObject([
    { id: 'tiny', task: 'generate' },
    { id: 'embedder', task: 'embed', dimensions: 32 },
    { id: 'classifier', task: 'classify', labels: ['no', 'yes'] },
  ]);
  const written = await post('/v1/completions', { model: 'embedder', prompt: 'Hello' });
  expect([written.statusCode, written.json().error.code]).toEqual([400, 'model_does_not_do_this']);
});
