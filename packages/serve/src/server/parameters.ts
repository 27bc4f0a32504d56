import type { GenerationRequest } from '../engine/contract.js';
import type { Choice } from './choices.js';
import type { ChatCompletionBody, CompletionBody } from './schemas.js';

type Body = ChatCompletionBody | CompletionBody;

/** The parameters that both endpoints have. */
export function samplingOf(body: Body): Omit<GenerationRequest, 'prompt'> {
  const stop = body.stop ?? undefined;
  return {
    model: body.model,
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    topK: body.top_k ?? undefined,
    minP: body.min_p ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    logitBias: body.logit_bias ?? undefined,
    format: formatOf(body.response_format),
    priority: -(body.priority ?? 0),
    seed: body.seed ?? undefined,
    stop: typeof stop === 'string' ? [stop] : stop,
  };
}

function formatOf(format: Body['response_format']): GenerationRequest['format'] {
  if (!format || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json-object' };
  if (format.type === 'json_schema') return { type: 'json-schema', schema: format.json_schema.schema };
  return format;
}

/** `n` answers to one prompt. With a seed, answer i has seed + i: all are reproducible, and no two need be equal. */
export function repeated(body: Body, request: GenerationRequest): readonly Choice[] {
  return Array.from({ length: body.n ?? 1 }, (_, i) => ({
    request: request.seed === undefined ? request : { ...request, seed: wrapped(request.seed + i) },
    countsPrompt: i === 0,
  }));
}

function wrapped(seed: number): number {
  return Number.isSafeInteger(seed) ? seed : 0;
}
