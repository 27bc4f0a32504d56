import { describe, expect, it } from 'vitest';
import { startServer } from './support/server.js';
import { tinyModel } from './support/tiny.js';
import { tinyEncoder } from './support/tiny-encoder.js';

const start = () =>
  startServer({ models: [tinyModel(), tinyEncoder(), tinyEncoder({ classes: 2, labels: ['no', 'yes'] })] });

const texts = ['Hello', 'hello, hello', 'x', 'Hello'];

/** Cosines of the vectors that the server itself gives. */
async function cosines(post: ReturnType<typeof start>['post'], query: string, others: readonly string[]) {
  const { data } = (await post('/v1/embeddings', { model: 'embedder', input: [query, ...others] })).json();
  const [first, ...rest]: number[][] = data.map((each: { embedding: number[] }) => each.embedding);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  return rest.map((each) => dot(first, each) / Math.sqrt(dot(first, first) * dot(each, each)));
}

describe.each(['/score', '/v1/score'])('POST %s', (url) => {
  it('compares one text with each, and each with the one in its place', async () => {
    const { post } = start();
    const expected = await cosines(post, 'Hello', texts);
    const body = { model: 'embedder', text_1: 'Hello', text_2: texts, user: 'me' };
    const answer = (await post(url, body)).json();
    expect(answer).toMatchObject({ object: 'list', model: 'embedder', id: expect.stringMatching(/^score-/) });
    expect(answer.data).toEqual(
      expected.map((score, index) => ({ index, object: 'score', score: expect.closeTo(score, 5) })),
    );
    expect(answer.data[0].score).toBeCloseTo(1, 12);
    expect(answer.usage.prompt_tokens).toBe(6 + 6 + 13 + 2 + 6);
    const pairs = (await post(url, { ...body, text_1: texts })).json();
    for (const { score } of pairs.data) expect(score).toBeCloseTo(1, 12);
    expect((await post(url, { ...body, text_2: 'x' })).json().data).toHaveLength(1);
  });
});

describe.each(['/rerank', '/v1/rerank', '/v2/rerank'])('POST %s', (url) => {
  it('sorts documents by how alike they are to the query', async () => {
    const { post } = start();
    const expected = await cosines(post, 'hello', texts);
    const body = { model: 'embedder', query: 'hello', documents: texts };
    const { results } = (await post(url, body)).json();
    const order = results.map(({ index }: { index: number }) => index);
    expect([...order].sort()).toEqual([0, 1, 2, 3]);
    expect(order.indexOf(0)).toBeLessThan(order.indexOf(3)); // the same text: in its order
    for (const [i, { index, document, relevance_score }] of results.entries()) {
      expect(relevance_score).toBeCloseTo(expected[index], 5);
      expect(document).toEqual({ text: texts[index] });
      if (i > 0) expect(relevance_score).toBeLessThanOrEqual(results[i - 1].relevance_score);
    }
    const objects = texts.map((text) => ({ text }));
    const best = await post(url, { ...body, documents: objects, top_n: 2, return_documents: false });
    expect(best.json().results).toEqual(
      results
        .slice(0, 2)
        .map(({ index, relevance_score }: Record<string, number>) => ({ index, relevance_score })),
    );
  });
});

describe('what is wrong is said', () => {
  it.each([
    ['/v1/score', { text_1: ['a', 'b'], text_2: ['a', 'b', 'c'] }, 400, 'invalid_value', 'text_1'],
    ['/v1/score', { text_1: 'a' }, 400, 'missing_required_parameter', 'text_2'],
    ['/v1/score', { text_1: [], text_2: 'a' }, 400, 'invalid_value', 'text_1'],
    ['/v1/score', { text_1: 'a', text_2: 'b', model: 'tiny' }, 400, 'model_does_not_do_this', 'model'],
    ['/v1/score', { text_1: 'a', text_2: 'b', model: 'classifier' }, 400, 'model_does_not_do_this', 'model'],
    ['/v1/score', { text_1: 'a', text_2: 'b', model: 'other' }, 404, 'model_not_found', 'model'],
    ['/v1/score', { text_1: 'a'.repeat(99), text_2: 'b' }, 400, 'context_length_exceeded', null],
    ['/rerank', { query: 'a', documents: [] }, 400, 'invalid_value', 'documents'],
    ['/rerank', { query: 'a', documents: [5] }, 400, 'invalid_type', 'documents[0]'],
    ['/rerank', { query: ['a'], documents: ['a'] }, 400, 'invalid_type', 'query'],
    ['/rerank', { query: 'a', documents: ['a'], top_n: 0 }, 400, 'invalid_value', 'top_n'],
    [
      '/rerank',
      { query: 'a', documents: ['a'], rank_fields: ['x'] },
      400,
      'unsupported_parameter',
      'rank_fields',
    ],
  ] as const)('%s %j', async (url, change, status, code, param) => {
    const { post } = start();
    const response = await post(url, { model: 'embedder', ...change });
    expect([response.statusCode, response.json().error.code, response.json().error.param]).toEqual([
      ...[status, code, param],
    ]);
  });

  it('a text that is too long is cut when that is asked for', async () => {
    const { post } = start();
    const body = { model: 'embedder', query: 'a'.repeat(99), documents: ['a'], truncate_prompt_tokens: -1 };
    expect((await post('/rerank', body)).json().usage.prompt_tokens).toBe(64 + 2);
  });
});
