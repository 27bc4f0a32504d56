import { ArgumentError, NonFiniteError } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { groupByLength, type ScoredSequence, tokenLosses } from './scoring/token-losses.js';

export interface PerplexityOptions {
  /** Tokens per window; default, and at most, the model's context. */
  readonly context?: number | undefined;
  /** Tokens in one forward pass; default 2048. Changes speed and memory, not the result. */
  readonly tokensPerStep?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: { readonly done: number; readonly total: number }) => void) | undefined;
}

export interface Perplexity {
  /** exp(nll). Depends on the tokenizer: comparable only between models with the same one. */
  readonly perplexity: number;
  /** Bits that each byte of the scored text costs: comparable between all models. */
  readonly bitsPerByte: number;
  /** Mean negative log-likelihood of a scored token, in nats. */
  readonly nll: number;
  /** Scored tokens. */
  readonly tokens: number;
  /** UTF-8 bytes of the scored text. */
  readonly bytes: number;
}

type TextTokenizer = Pick<Tokenizer, 'encode' | 'tokenBytes' | 'isSpecial'>;

/**
 * How well a model predicts texts. Each text is encoded as the tokenizer says (with BOS where it adds one) and cut
 * into windows of `context` tokens that do not overlap; the first token of a window is not scored, nor are its bytes.
 * @throws ArgumentError when nothing can be scored or `context` is out of range, NonFiniteError for broken weights
 */
export async function perplexity(
  model: CausalLM,
  tokenizer: TextTokenizer,
  texts: string | readonly string[],
  options: PerplexityOptions = {},
): Promise<Perplexity> {
  const { context = model.contextLength } = options;
  checkContext(context, model);
  const { windows, bytes } = cutTexts(typeof texts === 'string' ? [texts] : texts, tokenizer, context);
  const { nll, tokens } = await tokenLoss(model, windows, options);
  const bitsPerByte = (nll * tokens) / Math.LN2 / bytes;
  return { perplexity: Math.exp(nll), bitsPerByte, nll, tokens, bytes };
}

/**
 * Mean negative log-likelihood in nats of all tokens of the windows but the first of each.
 * @throws ArgumentError when nothing can be scored, NonFiniteError for broken weights
 */
export async function tokenLoss(
  model: CausalLM,
  windows: readonly Int32Array[],
  { tokensPerStep = 2048, signal, onProgress }: Omit<PerplexityOptions, 'context'> = {},
): Promise<Pick<Perplexity, 'nll' | 'tokens'>> {
  const total = windows.reduce((sum, { length }) => sum + length - 1, 0);
  if (total === 0) {
    throw new ArgumentError({
      where: 'perplexity',
      what: 'nothing to score',
      got: 'texts of less than two tokens',
    });
  }
  let sum = 0;
  let done = 0;
  for (const step of groupByLength(windows, ({ length }) => length, tokensPerStep)) {
    signal?.throwIfAborted();
    for await (const losses of tokenLosses(model, step.map(scored))) {
      for (const loss of losses) sum += loss;
      done += losses.length;
    }
    if (!Number.isFinite(sum)) throw notFinite(done);
    onProgress?.({ done, total });
  }
  return { nll: sum / total, tokens: total };
}

function checkContext(context: number, model: CausalLM): void {
  if (Number.isInteger(context) && context >= 2 && context <= model.contextLength) return;
  throw new ArgumentError({
    where: 'perplexity',
    what: 'context out of range',
    got: String(context),
    expected: `2 to ${model.contextLength} tokens`,
  });
}

/** Windows of at least two tokens, and the bytes of what will be scored in them. */
function cutTexts(texts: readonly string[], tokenizer: TextTokenizer, context: number) {
  const windows: Int32Array[] = [];
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const text of texts) {
    // Text that speaks of special tokens does not contain any: their bytes are to be predicted.
    const ids = tokenizer.encode(text, { parseSpecialTokens: false });
    bytes += encoder.encode(text).length;
    for (let start = 0; start < ids.length; start += context) {
      const first = ids[start];
      if (!tokenizer.isSpecial(first)) bytes -= tokenizer.tokenBytes(first).length;
      const window = ids.subarray(start, start + context);
      if (window.length >= 2) windows.push(window);
    }
  }
  return { windows, bytes };
}

/** Every token but the first is predicted by the one before it. */
function scored(ids: Int32Array): ScoredSequence {
  return { ids, pairs: Array.from(ids.subarray(1), (target, position) => [position, target] as const) };
}

function notFinite(done: number): NonFiniteError {
  return new NonFiniteError({
    where: 'perplexity',
    what: `a loss among the first ${done} tokens is not finite`,
    hint: 'Check the weights: frugal doctor MODEL.',
  });
}
