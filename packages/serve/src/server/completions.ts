import type { Prompt } from '../engine/contract.js';
import type { Endpoint } from './generation-route.js';
import { completionLogprobs } from './logprobs.js';
import { repeated, samplingOf } from './parameters.js';
import { type CompletionBody, completionBody } from './schemas.js';

/** What OpenAI's API takes when nothing is said. */
const defaultMaxTokens = 16;

export const completions: Endpoint<CompletionBody> = {
  path: '/v1/completions',
  schema: completionBody,
  idPrefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',

  routingText: ({ prompt }) => {
    const texts = [prompt].flat().filter((each) => typeof each === 'string');
    return texts.length > 0 ? texts.join('\n') : null;
  },
  choices: (body) =>
    prompts(body.prompt).flatMap((prompt) =>
      repeated(body, {
        ...samplingOf(body),
        prompt,
        maxTokens: body.max_tokens ?? defaultMaxTokens,
        logprobs: body.logprobs ?? undefined,
      }),
    ),
  writer: () => ({
    whole: ({ text, logprobs, reason }) => ({
      text,
      logprobs: logprobs.length > 0 ? completionLogprobs(logprobs) : null,
      finish_reason: reason,
    }),
    opening: () => [],
    piece: (text, logprobs) => [
      { text, logprobs: logprobs ? completionLogprobs(logprobs) : null, finish_reason: null },
    ],
    closing: (reason) => [{ text: '', logprobs: null, finish_reason: reason }],
  }),
};

function prompts(prompt: CompletionBody['prompt']): readonly Prompt[] {
  if (typeof prompt === 'string') return [{ text: prompt }];
  if (isIds(prompt)) return [{ ids: prompt }];
  return prompt.map((each) => (typeof each === 'string' ? { text: each } : { ids: each }));
}

function isIds(prompt: readonly unknown[]): prompt is readonly number[] {
  return typeof prompt[0] === 'number';
}
