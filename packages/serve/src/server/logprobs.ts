import type { TokenLogprobs, TokenProbability } from '../engine/contract.js';

/** Entries of `logprobs.content` of a chat answer. */
export function chatLogprobs(tokens: readonly TokenLogprobs[]): object {
  const entry = ({ bytes, logprob }: TokenProbability) => ({
    token: nameOf(bytes),
    logprob,
    bytes: [...bytes],
  });
  return { content: tokens.map((token) => ({ ...entry(token), top_logprobs: token.top.map(entry) })) };
}

/** The older form of plain completions: parallel arrays. */
export function completionLogprobs(tokens: readonly TokenLogprobs[]): object {
  return {
    tokens: tokens.map(({ bytes }) => nameOf(bytes)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ bytes, logprob }) => [nameOf(bytes), logprob])),
    ),
  };
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a token; of one that holds a part of a character, its bytes, so that two such tokens stay distinct. */
function nameOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}
