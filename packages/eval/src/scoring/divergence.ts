import { ArgumentError, keep, NonFiniteError, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { bootstrapInterval, type Interval } from '../statistics/resample.js';

export interface DivergenceOptions {
  /** Tokens per window; default 512, at most the smaller context of the two. */
  readonly context?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** How far the predictions of a candidate are from those of a reference, over the positions of running text. */
export interface Divergence {
  readonly positions: number;
  /** Mean KL(reference ‖ candidate) in nats over positions, with the bootstrap interval of that mean over windows. */
  readonly kl: number;
  readonly interval: Interval;
  /** The 99th percentile of the positions: rare, large changes. */
  readonly kl99: number;
  /** Share of positions at which both have the same most likely token. */
  readonly sameTop: number;
}

/** Logits of one model held at a time, in numbers. */
const LOGITS_AT_ONCE = 2 ** 23;

/** @throws ArgumentError when the vocabularies differ, or there is no text; NonFiniteError for broken weights */
export async function compareOutputs(
  reference: CausalLM,
  candidate: CausalLM,
  tokenizer: Pick<Tokenizer, 'encode'>,
  texts: readonly string[],
  { context = 512, signal, onProgress }: DivergenceOptions = {},
): Promise<Divergence> {
  const size = Math.min(context, reference.contextLength, candidate.contextLength);
  requireSameVocabulary(reference, candidate);
  const windows = texts.flatMap((text) => cut(tokenizer.encode(text, { parseSpecialTokens: false }), size));
  if (windows.length === 0) throw new ArgumentError({ where: 'compareOutputs', what: 'there is no text' });
  const all: number[] = [];
  const sums: number[] = [];
  let same = 0;
  for (const [done, window] of windows.entries()) {
    signal?.throwIfAborted();
    const { kl, equal } = await compareWindow(reference, candidate, window);
    const sum = kl.reduce((total, value) => total + value, 0);
    if (!Number.isFinite(sum)) throw notFinite(done);
    sums.push(sum);
    for (const value of kl) all.push(value);
    same += equal.reduce((sum, value) => sum + value, 0);
    onProgress?.({ done: done + 1, total: windows.length });
  }
  const kl = sums.reduce((total, sum) => total + sum, 0) / all.length;
  // The end of a text is a short window, which counts as much as it has positions.
  const interval = bootstrapInterval(sums, { weights: windows.map(({ length }) => length) });
  all.sort((a, b) => a - b);
  const kl99 = all[Math.min(all.length - 1, Math.floor(0.99 * all.length))];
  return { positions: all.length, kl, interval, kl99, sameTop: same / all.length };
}

async function compareWindow(reference: CausalLM, candidate: CausalLM, ids: Int32Array) {
  const hidden = [reference, candidate].map((model) =>
    scope(() =>
      noGrad(() => keep(model.forward(stepBatch([ids], { vocabularySize: model.vocabularySize })).hidden)),
    ),
  );
  const kl: number[] = [];
  const equal: number[] = [];
  const piece = Math.max(1, Math.floor(LOGITS_AT_ONCE / reference.vocabularySize));
  try {
    for (let from = 0; from < ids.length; from += piece) {
      const to = Math.min(ids.length, from + piece);
      const [divergences, matches] = scope(() =>
        noGrad(() => {
          const [p, q] = [reference, candidate].map((model, i) =>
            model.head
              .forward(hidden[i].slice(0, from, to))
              .cast('f32')
              .logSoftmax(),
          );
          return [p.exp().mul(p.sub(q)).sum(-1), p.argMax().equal(q.argMax()).cast('f32')] as [
            Tensor,
            Tensor,
          ];
        }),
      );
      for (const value of await divergences.toFloat32()) kl.push(Math.max(0, value));
      for (const value of await matches.toFloat32()) equal.push(value);
      divergences.dispose();
      matches.dispose();
    }
  } finally {
    for (const tensor of hidden) tensor.dispose();
  }
  return { kl, equal };
}

function cut(ids: Int32Array, size: number): Int32Array[] {
  const count = Math.ceil(ids.length / size);
  return Array.from({ length: count }, (_, i) => ids.slice(i * size, (i + 1) * size)).filter(
    ({ length }) => length >= 2,
  );
}

function notFinite(window: number): NonFiniteError {
  return new NonFiniteError({
    where: 'compareOutputs',
    what: `a probability in window ${window + 1} is not finite`,
    hint: 'Check the weights: frugal doctor MODEL.',
  });
}

function requireSameVocabulary(reference: CausalLM, candidate: CausalLM): void {
  if (reference.vocabularySize === candidate.vocabularySize) return;
  throw new ArgumentError({
    where: 'compareOutputs',
    what: 'the models have different vocabularies',
    got: `${candidate.vocabularySize} tokens`,
    expected: `${reference.vocabularySize}`,
    hint: 'Compare their answers to tasks instead.',
  });
}
