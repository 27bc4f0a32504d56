import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Encoding, EncodingRequest, Engine, ModelCard } from '../engine/contract.js';
import type { Lifetime } from './lifetime.js';

export type EncodingEngine = Pick<Engine, 'models' | 'encode'>;

/** What the bodies of all routes have that let a model read texts. */
interface SharedBody {
  readonly model: string;
  readonly truncate_prompt_tokens?: number | null | undefined;
  readonly priority?: number | null | undefined;
}

/** Lets a model read texts as long as the client waits for them, and notes for the log how many tokens they were. */
export async function encodeRequest(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  { engine, lifetime }: { readonly engine: EncodingEngine; readonly lifetime: Lifetime },
  { model, truncate_prompt_tokens: wanted, priority }: SharedBody,
  what: Pick<EncodingRequest, 'task' | 'inputs' | 'activation'>,
): Promise<Encoding> {
  request.allowPriority?.(priority);
  const encoding = await engine.encode({
    ...{ model, ...what, signal: lifetime.begin(reply.raw) },
    truncate: wanted === -1 ? cardOf(engine, model)?.contextLength : (wanted ?? undefined),
    priority: -(priority ?? 0),
  });
  const { promptTokens } = encoding;
  const usage = { prompt_tokens: promptTokens, completion_tokens: 0, total_tokens: promptTokens };
  request.generation = { model, usage: { ...usage, prompt_tokens_details: { cached_tokens: 0 } } };
  return encoding;
}

export function cardOf(engine: EncodingEngine, model: string): ModelCard | undefined {
  return engine.models().find(({ name }) => name === model);
}
