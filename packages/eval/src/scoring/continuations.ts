import { NonFiniteError } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { groupByLength, type ScoredSequence, tokenLosses } from './token-losses.js';

/** A text and what may follow it. */
export interface ContinuationRequest {
  readonly prompt: string;
  readonly continuations: readonly string[];
}

export interface ContinuationScore {
  /** log p(continuation | prompt), in nats. */
  readonly logLikelihood: number;
  readonly tokens: number;
}

export interface ScoringOptions {
  /** Tokens in one forward pass; default 2048. Changes speed and memory, not the result. */
  readonly tokensPerStep?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One sequence of a request; `owners` are the continuations that its pairs belong to. */
interface Part extends ScoredSequence {
  readonly request: number;
  readonly owners: readonly number[];
}

/**
 * How likely each continuation of each request is. A prompt and a continuation are encoded together: the tokens
 * behind what they share with the prompt alone are the continuation's. One-token continuations of a prompt share one sequence.
 * @throws NonFiniteError when the model gives no numbers
 */
export async function* scoreContinuations(
  model: CausalLM,
  tokenizer: Pick<Tokenizer, 'encode'>,
  requests: readonly ContinuationRequest[],
  { tokensPerStep = 2048, signal }: ScoringOptions = {},
): AsyncGenerator<readonly ContinuationScore[], void, undefined> {
  const parts = requests.flatMap((request, index) => partsOf(tokenizer, request, index));
  const scores = requests.map(({ continuations }) =>
    continuations.map(() => ({ logLikelihood: 0, tokens: 0 })),
  );
  let finished = 0;
  for (const group of groupByLength(parts, ({ ids }) => ids.length, tokensPerStep)) {
    signal?.throwIfAborted();
    const owners = group.flatMap((part) => part.owners.map((owner) => scores[part.request][owner]));
    let next = 0;
    for await (const losses of tokenLosses(model, group)) {
      for (const loss of losses) {
        if (!Number.isFinite(loss)) throw notFinite();
        owners[next].logLikelihood -= loss;
        owners[next++].tokens++;
      }
    }
    const last = group[group.length - 1];
    const complete = last === parts.at(-1) ? requests.length : last.request; // its other parts may follow
    while (finished < complete) yield scores[finished++];
  }
  while (finished < requests.length) yield scores[finished++];
}

/** Tokens of the longest prompt and continuation. */
export function longestSequence(
  tokenizer: Pick<Tokenizer, 'encode'>,
  { prompt, continuations }: ContinuationRequest,
): number {
  return Math.max(
    ...continuations.map((text) => tokenizer.encode(prompt + text, { parseSpecialTokens: false }).length),
  );
}

function partsOf(
  tokenizer: Pick<Tokenizer, 'encode'>,
  { prompt, continuations }: ContinuationRequest,
  request: number,
): Part[] {
  const before = tokenizer.encode(prompt, { parseSpecialTokens: false });
  const wholes = continuations.map((text) => tokenizer.encode(prompt + text, { parseSpecialTokens: false }));
  const shared = wholes.map((ids) => Math.max(1, commonLength(before, ids)));
  const single = wholes.every((ids, i) => ids.length === shared[i] + 1 && shared[i] === shared[0]);
  if (single && sameUpTo(wholes, shared[0])) {
    const pairs = wholes.map((ids) => [shared[0] - 1, ids[shared[0]]] as const);
    return [{ ids: wholes[0].subarray(0, shared[0]), pairs, request, owners: pairs.map((_, i) => i) }];
  }
  return wholes.map((ids, owner) => {
    const pairs = Array.from(ids.subarray(shared[owner]), (id, i) => [shared[owner] + i - 1, id] as const);
    // The last token predicts nothing that counts.
    return { ids: ids.subarray(0, ids.length - 1), pairs, request, owners: pairs.map(() => owner) };
  });
}

function commonLength(a: Int32Array, b: Int32Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function sameUpTo(sequences: readonly Int32Array[], length: number): boolean {
  return sequences.every((ids) => commonLength(ids, sequences[0]) >= length);
}

function notFinite(): NonFiniteError {
  return new NonFiniteError({
    where: 'eval',
    what: 'a likelihood is not finite',
    hint: 'Check the weights: frugal doctor MODEL.',
  });
}
