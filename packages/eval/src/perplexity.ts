import { ArgumentError, crossEntropy, noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';

export interface PerplexityOptions {
  /** Tokens per window; default the model's context. Windows do not overlap, and their first token is not scored. */
  readonly context?: number;
  /** Windows per forward pass. */
  readonly batch?: number;
  readonly onProgress?: (event: { readonly tokens: number; readonly total: number }) => void;
}

export interface Perplexity {
  /** exp(nll). */
  readonly perplexity: number;
  /** Comparable across tokenizers: nats of all scored tokens / ln 2 / their bytes. */
  readonly bitsPerByte: number;
  /** Mean negative log-likelihood of the scored tokens, in nats. */
  readonly nll: number;
  /** Scored tokens. */
  readonly tokens: number;
}

/**
 * How well a model predicts texts. Each text is encoded on its own, with the special tokens that the tokenizer adds,
 * and cut into windows.
 * @throws ArgumentError when there is nothing to score, or the windows do not fit into the model's context
 */
export async function perplexity(
  model: CausalLM,
  tokenizer: Tokenizer,
  texts: Iterable<string>,
  { context = model.contextLength, batch = 16, onProgress }: PerplexityOptions = {},
): Promise<Perplexity> {
  if (!(Number.isInteger(context) && context >= 2 && context <= model.contextLength)) {
    throw new ArgumentError({ where: 'perplexity', what: 'context out of range', got: String(context), expected: `2 to ${model.contextLength}` });
  }
  const windows = [...texts].flatMap((text) => cut(tokenizer.encode(text, { addSpecialTokens: true }), context));
  const total = windows.reduce((sum, window) => sum + window.length - 1, 0);
  if (total === 0) {
    throw new ArgumentError({ where: 'perplexity', what: 'nothing to score', hint: 'Give texts of at least two tokens.' });
  }
  let nats = 0;
  let bytes = 0;
  let tokens = 0;
  for (let i = 0; i < windows.length; i += batch) {
    const part = windows.slice(i, i + batch);
    nats += await sumOfLosses(model, part);
    for (const window of part) {
      for (const id of window.subarray(1)) bytes += tokenizer.tokenBytes(id).length;
      tokens += window.length - 1;
    }
    onProgress?.({ tokens, total });
  }
  const nll = nats / tokens;
  return { perplexity: Math.exp(nll), bitsPerByte: nats / Math.LN2 / bytes, nll, tokens };
}

/** Windows of at least two tokens. */
function cut(ids: Int32Array, context: number): Int32Array[] {
  const windows: Int32Array[] = [];
  for (let start = 0; start + 1 < ids.length; start += context) {
    const window = ids.subarray(start, start + context);
    if (window.length > 1) windows.push(window);
  }
  return windows;
}

async function sumOfLosses(model: CausalLM, windows: readonly Int32Array[]): Promise<number> {
  const scored: number[] = [];
  const targets: number[] = [];
  let row = 0;
  for (const window of windows) {
    for (let i = 0; i + 1 < window.length; i++) {
      scored.push(row + i);
      targets.push(window[i + 1]);
    }
    row += window.length;
  }
  const losses = scope(() =>
    noGrad(() => {
      const output = model.forward(stepBatch(windows, { vocabularySize: model.vocabularySize, logits: scored }));
      return crossEntropy(output.logits().cast('f32'), tensor(Int32Array.from(targets)));
    }),
  );
  // Summed in f64 on the host: a sum of many losses in f32 would lose digits.
  const values = await losses.toFloat32();
  losses.dispose();
  return values.reduce((sum, value) => sum + value, 0);
}
