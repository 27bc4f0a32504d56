import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { type EncodingEngine, encodeRequest } from './encode-request.js';
import { rerankBody, scoreBody } from './encoding-schemas.js';
import type { Lifetime } from './lifetime.js';
import { validate } from './validation.js';

/**
 * How alike texts are, by a model that embeds: the cosine of their vectors, from -1 to 1. `/score` as vLLM has it, `/rerank` as Jina
 * and Cohere have it.
 */
export function addSimilarityRoutes(app: FastifyInstance, engine: EncodingEngine, lifetime: Lifetime): void {
  const server = { engine, lifetime };
  for (const url of ['/score', '/v1/score']) {
    app.post(url, async (request, reply) => {
      const body = validate(scoreBody, request.body);
      const [first, second] = [body.text_1, body.text_2].map((each) => [each].flat());
      const inputs = [...first, ...second].map((text) => ({ text }));
      const what = { task: 'embed', inputs } as const;
      const { rows, promptTokens } = await encodeRequest({ request, reply }, server, body, what);
      return {
        id: `score-${randomUUID()}`,
        object: 'list',
        created: Math.floor(Date.now() / 1000),
        model: body.model,
        data: second.map((_, index) => ({
          ...{ index, object: 'score' },
          score: cosine(rows[first.length === 1 ? 0 : index], rows[first.length + index]),
        })),
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      };
    });
  }
  for (const url of ['/rerank', '/v1/rerank', '/v2/rerank']) {
    app.post(url, async (request, reply) => {
      const body = validate(rerankBody, request.body);
      const documents = body.documents.map((each) => (typeof each === 'string' ? each : each.text));
      const inputs = [body.query, ...documents].map((text) => ({ text }));
      const what = { task: 'embed', inputs } as const;
      const { rows, promptTokens } = await encodeRequest({ request, reply }, server, body, what);
      const [query, ...others] = rows;
      const results = others.map((row, index) => ({
        index,
        ...((body.return_documents ?? true) && { document: { text: documents[index] } }),
        relevance_score: cosine(query, row),
      }));
      results.sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
      return {
        id: `rerank-${randomUUID()}`,
        model: body.model,
        results: results.slice(0, body.top_n ?? results.length),
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      };
    });
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, left, right] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i];
    left += a[i] ** 2;
    right += b[i] ** 2;
  }
  // Rounding may lead past 1.
  return left && right ? Math.max(-1, Math.min(1, product / Math.sqrt(left * right))) : 0;
}
