import type { TokenLogprobs } from '../engine/contract.js';
import type { ChoiceWriter } from './generation-route.js';
import { chatLogprobs } from './logprobs.js';

/** An answer that is text and nothing else. */
export const textWriter: ChoiceWriter = {
  whole: ({ text, logprobs, reason }) => ({
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs.length > 0 ? chatLogprobs(logprobs) : null,
    finish_reason: reason,
  }),
  opening: () => [delta({ role: 'assistant', content: '' })],
  piece: (text, logprobs) => [delta({ content: text }, logprobs)],
  closing: (reason) => [{ delta: {}, logprobs: null, finish_reason: reason }],
};

export function delta(fields: object, logprobs?: readonly TokenLogprobs[]): object {
  return { delta: fields, logprobs: logprobs ? chatLogprobs(logprobs) : null, finish_reason: null };
}
