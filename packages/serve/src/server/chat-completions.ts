import type { ChatMessage } from '@frugal/tokenizers';
import type { TokenLogprobs } from '../engine/contract.js';
import type { Endpoint } from './generation-route.js';
import { chatLogprobs } from './logprobs.js';
import { repeated, samplingOf } from './parameters.js';
import { type ChatCompletionBody, chatCompletionBody } from './schemas.js';

export const chatCompletions: Endpoint<ChatCompletionBody> = {
  path: '/v1/chat/completions',
  schema: chatCompletionBody,
  idPrefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',

  choices: (body) =>
    repeated(body, {
      ...samplingOf(body),
      prompt: { messages: body.messages.map(plainMessage) },
      maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
      logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    }),
  whole: ({ text, logprobs, reason }) => ({
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs.length > 0 ? chatLogprobs(logprobs) : null,
    finish_reason: reason,
  }),
  opening: () => delta({ role: 'assistant', content: '' }),
  piece: (text, logprobs) => delta({ content: text }, logprobs),
  closing: (reason) => ({ delta: {}, logprobs: null, finish_reason: reason }),
};

function delta(fields: object, logprobs?: readonly TokenLogprobs[]): object {
  return { delta: fields, logprobs: logprobs ? chatLogprobs(logprobs) : null, finish_reason: null };
}

/** Templates know `system`; `developer` is its newer name. Parts of a text are one text. */
function plainMessage({ role, content }: ChatCompletionBody['messages'][number]): ChatMessage {
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  };
}
