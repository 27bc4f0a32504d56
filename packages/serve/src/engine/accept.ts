import { randomInt } from 'node:crypto';
import { FrugalError } from '@frugal/tensor-core';
import { checkSampler, type SamplerOptions } from '@frugal/tensor-core/generation';
import { TokenizerError } from '@frugal/tokenizers';
import type { GenerationRequest, Prompt } from './contract.js';
import { EngineError } from './errors.js';
import type { ServedModel } from './loaded-model.js';
import { RunningRequest } from './running-request.js';
import type { ServedAdapter } from './served-adapters.js';
import { TextOutput } from './text-output.js';

/** What a request needs that takes long, beside other requests; null: nothing. @throws EngineError as `acceptRequest` does */
export function prepareRequest(
  { formats }: ServedModel,
  { format }: GenerationRequest,
): Promise<void> | null {
  const compiled = format ? formats.compile(format) : null;
  return compiled?.catch((cause) => Promise.reject(asInvalid(cause))) ?? null;
}

/** Checks a request whole, before it takes any memory. @throws EngineError that says what is wrong with it */
export function acceptRequest(
  served: ServedModel,
  request: GenerationRequest,
  { draftTokens, adapter }: { readonly draftTokens: number; readonly adapter: ServedAdapter | null },
): RunningRequest {
  const { stop = [], priority = 0 } = request;
  const sampling = samplingOf(request);
  requireValid(() => checkSampler(sampling, served.model.vocabularySize));
  if (stop.includes('')) throw new EngineError('invalid-request', { what: 'a stop string is empty' });
  requireInteger('maxTokens', request.maxTokens, 1);
  requireInteger('priority', priority);

  const prompt = encodePrompt(served, request.prompt);
  const room = served.card.contextLength - prompt.length;
  const maxTokens = request.maxTokens ?? room;
  if (room < 1 || maxTokens > room) throw tooLong(served.card, prompt.length, request.maxTokens);
  const { format } = request;
  const constraint = format && requireValid(() => served.formats.constraint(format, maxTokens));
  return new RunningRequest({
    prompt,
    maxTokens,
    sampling: { ...sampling, constraint },
    stopIds: served.stopIds,
    priority,
    adapter,
    vocabularySize: served.model.vocabularySize,
    draft: served.draft,
    draftTokens,
    signal: request.signal,
    // Some models begin the call of a function with a special token.
    output: new TextOutput(served.tokenizer, stop, { skipSpecialTokens: !toolsOf(request.prompt) }),
  });
}

function samplingOf(request: GenerationRequest): SamplerOptions {
  const { temperature = 1, topP = 1, topK = 0, minP = 0, seed = randomInt(2 ** 47), logprobs } = request;
  const { logitBias, repetitionPenalty, presencePenalty, frequencyPenalty } = request;
  const penalties = { logitBias, repetitionPenalty, presencePenalty, frequencyPenalty };
  return { temperature, topP, topK, minP, seed, logprobs, ...penalties };
}

function encodePrompt({ name, model, tokenizer, chatTemplate }: ServedModel, prompt: Prompt): Int32Array {
  const ids = requireValid(() => {
    if ('ids' in prompt) return checkIds(prompt.ids, model.vocabularySize);
    if ('text' in prompt) return tokenizer.encode(prompt.text);
    if (chatTemplate) {
      return chatTemplate.encode(prompt.messages, { addGenerationPrompt: true, tools: toolsOf(prompt) });
    }
    throw new EngineError('no-chat-template', {
      what: 'the model has no chat template: it only continues text',
      got: `messages for ${name}`,
      hint: 'Use plain completion.',
    });
  });
  if (ids.length === 0) throw new EngineError('invalid-request', { what: 'the prompt is empty' });
  return ids;
}

function toolsOf(prompt: Prompt): readonly object[] | undefined {
  return 'messages' in prompt && prompt.tools?.length ? prompt.tools : undefined;
}

function checkIds(ids: readonly number[], vocabularySize: number): Int32Array {
  const strange = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (strange === undefined) return Int32Array.from(ids);
  throw new EngineError('invalid-request', {
    what: 'a token id is not in the vocabulary',
    got: String(strange),
    expected: `0 to ${vocabularySize - 1}`,
  });
}

function tooLong(
  { contextLength }: ServedModel['card'],
  prompt: number,
  maxTokens: number | undefined,
): EngineError {
  return new EngineError('context-length-exceeded', {
    what: 'prompt and answer do not fit into the context',
    got: `${prompt} tokens in the prompt and ${maxTokens ?? 'at least 1'} to generate`,
    expected: `at most ${contextLength} together`,
    hint: 'Shorten the prompt, or ask for fewer tokens.',
  });
}

function requireInteger(name: string, value: number | undefined, least?: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= (least ?? value))) return;
  throw new EngineError('invalid-request', {
    what: `${name} out of range`,
    got: String(value),
    expected: least === undefined ? 'an integer' : `an integer, ${least} or more`,
  });
}

function requireValid<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    throw asInvalid(cause);
  }
}

/** What sampling, tokenizer, template and format refuse is wrong with the request. */
function asInvalid(cause: unknown): unknown {
  if (cause instanceof EngineError || !(cause instanceof FrugalError || cause instanceof TokenizerError))
    return cause;
  const { what, got, expected, hint } = cause;
  return new EngineError('invalid-request', { what, got, expected, hint, cause });
}
