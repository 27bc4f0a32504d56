import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Engine, GenerationEvent, ModelCard, TokenLogprobs } from '../engine/contract.js';
import { EngineError } from '../engine/errors.js';
import { type ApiError, toApiError } from './api-error.js';
import { type Choice, Choices, type FinishedChoice } from './choices.js';
import type { Lifetime } from './lifetime.js';
import { modelNamed } from './model-names.js';
import { type Router, routed } from './routers.js';
import { validate } from './validation.js';

/** An endpoint that answers with text: what differs between chat and plain completion. */
export interface Endpoint<Body extends StreamFields> {
  readonly path: string;
  readonly schema: z.ZodType<Body>;
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** What a router reads of a request; null: there is no text. */
  routingText(body: Body): string | null;
  /** One per answer. `card` is that of the model asked for, if there is one. */
  choices(body: Body, card: ModelCard | undefined): readonly Choice[];
  /** Writes one answer: its entries of `choices`, without the index. */
  writer(body: Body, card: ModelCard | undefined): ChoiceWriter;
}

export interface ChoiceWriter {
  whole(choice: FinishedChoice): object;
  /** Of a stream: what comes before the text, and with the end. */
  opening(): readonly object[];
  piece(text: string, logprobs: readonly TokenLogprobs[] | undefined): readonly object[];
  closing(reason: string): readonly object[];
}

export interface StreamFields {
  readonly model: string;
  readonly priority?: number | null | undefined;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined;
}

/** Serves an endpoint, as one answer or as server-sent events. A client that goes away ends its request. */
export function addGenerationRoute<Body extends StreamFields>(
  app: FastifyInstance,
  engine: Pick<Engine, 'models' | 'submit'>,
  { lifetime, routers }: { lifetime: Lifetime; routers: Readonly<Record<string, Router>> },
  endpoint: Endpoint<Body>,
): void {
  app.post(endpoint.path, async (request, reply) => {
    const sent = validate(endpoint.schema, request.body);
    request.allowPriority?.(sent.priority);
    const body = { ...sent, model: routed(sent.model, routers, () => endpoint.routingText(sent)) };
    const signal = lifetime.begin(reply.raw);
    const named = modelNamed(body.model, engine.models());
    const card = engine.models().find(({ name }) => name === named.model);
    const wanted = endpoint.choices(body, card);
    request.widen?.(wanted.length - 1);
    const choices = await Choices.start(
      engine.submit,
      wanted.map((choice) => ({ ...choice, request: { ...choice.request, ...named, signal } })),
    );
    request.generation = { model: body.model, usage: choices.usage };
    const answer = new Answer(endpoint, body, choices, () => endpoint.writer(body, card));
    return body.stream ? sendEvents(request, reply, answer) : reply.send(await answer.whole());
  });
}

class Answer<Body extends StreamFields> {
  private readonly id: string;
  private readonly created = Math.floor(Date.now() / 1000);

  constructor(
    private readonly endpoint: Endpoint<Body>,
    private readonly body: Body,
    private readonly choices: Choices,
    private readonly writer: () => ChoiceWriter,
  ) {
    this.id = `${endpoint.idPrefix}-${randomUUID()}`;
  }

  async whole(): Promise<object> {
    const finished = await this.choices.finished();
    if (finished.some(({ reason }) => reason === 'abort')) throw aborted();
    return {
      ...this.head(this.endpoint.object),
      choices: finished.map((choice, index) => ({ index, ...this.writer().whole(choice) })),
      usage: this.choices.usage,
    };
  }

  async *chunks(): AsyncGenerator<object> {
    const { endpoint } = this;
    const withUsage = this.body.stream_options?.include_usage === true;
    const chunk = (choices: readonly object[], usage: object | null) => ({
      ...this.head(endpoint.chunkObject),
      choices,
      ...(withUsage ? { usage } : {}),
    });
    const writers = new Map<number, ChoiceWriter>();
    const entries = (index: number, event: GenerationEvent): readonly object[] => {
      const known = writers.get(index);
      const writer = known ?? this.writer();
      writers.set(index, writer);
      const opening = known ? [] : writer.opening();
      if (event.type === 'text') return [...opening, ...writer.piece(event.text, event.logprobs)];
      return event.type === 'finish' ? [...opening, ...writer.closing(event.reason)] : opening;
    };
    for await (const { index, event } of this.choices.events()) {
      if (event.type === 'finish' && event.reason === 'abort') throw aborted();
      for (const entry of entries(index, event)) yield chunk([{ index, ...entry }], null);
    }
    if (withUsage) yield chunk([], this.choices.usage);
  }

  private head(object: string) {
    return { id: this.id, object, created: this.created, model: this.body.model };
  }
}

/** Only the server ends a request whose client still listens: when it shuts down and the time to finish is over. */
function aborted(): ApiError {
  return toApiError(
    new EngineError('closed', { what: 'the server is shutting down', hint: 'Send the request again.' }),
  );
}

function sendEvents<Body extends StreamFields>(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: Answer<Body>,
): FastifyReply {
  // The headers are out: an error can only be told in the stream, and then there is no [DONE].
  async function* lines() {
    try {
      for await (const chunk of answer.chunks()) yield `data: ${JSON.stringify(chunk)}\n\n`;
      yield 'data: [DONE]\n\n';
    } catch (error) {
      const apiError = toApiError(error);
      if (apiError.status === 500) request.log.error({ err: error }, 'request failed');
      yield `data: ${JSON.stringify(apiError.body)}\n\n`;
    }
  }
  return reply
    .header('content-type', 'text/event-stream; charset=utf-8')
    .header('cache-control', 'no-cache')
    .header('x-accel-buffering', 'no')
    .send(Readable.from(lines()));
}
