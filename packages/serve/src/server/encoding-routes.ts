import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { Encoding, EncodingInput, EncodingRequest, ModelCard } from '../engine/contract.js';
import { ApiError } from './api-error.js';
import { cardOf, type EncodingEngine, encodeRequest } from './encode-request.js';
import { type ClassifyBody, classifyBody, type EmbeddingBody, embeddingBody } from './encoding-schemas.js';
import type { Lifetime } from './lifetime.js';
import { validate } from './validation.js';

type Body = EmbeddingBody | ClassifyBody;

/** `POST /v1/embeddings` as OpenAI has it, and `POST /classify` as vLLM has it. */
export function addEncodingRoutes(app: FastifyInstance, engine: EncodingEngine, lifetime: Lifetime): void {
  const add = <B extends Body>(
    path: string,
    schema: z.ZodType<B>,
    task: EncodingRequest['task'],
    answer: (body: B, encoding: Encoding, card: ModelCard) => object,
  ) => {
    app.post(path, async (request, reply) => {
      const body = validate(schema, request.body);
      const card = cardOf(engine, body.model);
      if (task === 'embed') requireDimensions(body as EmbeddingBody, card);
      const activation = 'use_activation' in body ? (body.use_activation ?? undefined) : undefined;
      const inputs = inputsOf(body.input);
      const what = { task, inputs, activation };
      const encoding = await encodeRequest({ request, reply }, { engine, lifetime }, body, what);
      const { promptTokens } = encoding;
      const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
      return { object: 'list', model: body.model, ...answer(body, encoding, card as ModelCard), usage };
    });
  };
  add('/v1/embeddings', embeddingBody, 'embed', (body, { rows }) => ({
    data: rows.map((row, index) => ({
      object: 'embedding',
      index,
      embedding: body.encoding_format === 'base64' ? base64(row) : [...row],
    })),
  }));
  add('/classify', classifyBody, 'classify', (_body, { rows }, { labels = [] }) => ({
    id: `classify-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    data: rows.map((row, index) => ({
      index,
      label: labels[row.indexOf(Math.max(...row))],
      probs: [...row],
      num_classes: row.length,
    })),
  }));
}

/** Vectors of other lengths than the model's would need one that was trained for it. */
function requireDimensions({ dimensions }: EmbeddingBody, card: ModelCard | undefined): void {
  if (dimensions == null || !card?.dimensions || dimensions === card.dimensions) return;
  const message = `The vectors of this model have ${card.dimensions} numbers, and cannot be made shorter.`;
  throw new ApiError(400, 'unsupported_parameter', message, 'dimensions');
}

function inputsOf(input: Body['input']): readonly EncodingInput[] {
  if (typeof input === 'string') return [{ text: input }];
  if (input.every((each) => typeof each === 'number')) return [{ ids: input }];
  return input.map((each) => (typeof each === 'string' ? { text: each } : { ids: each as number[] }));
}

/** Little-endian f32, as OpenAI's clients read it. */
function base64(row: Float32Array): string {
  const bytes = Buffer.alloc(4 * row.length);
  row.forEach((value, i) => void bytes.writeFloatLE(value, 4 * i));
  return bytes.toString('base64');
}
