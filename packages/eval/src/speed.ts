import { ArgumentError } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';

export interface SpeedOptions {
  /** Tokens read at once before the first new one; default 512, or what the context allows. */
  readonly promptTokens?: number | undefined;
  /** New tokens, one by one; default 128, or what the context allows. */
  readonly newTokens?: number | undefined;
  /** Measurements after a warm-up; default 3. */
  readonly repeats?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Median, smallest and largest of several measurements. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface Speed {
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly repeats: number;
  readonly prefillTokensPerSecond: Spread;
  readonly decodeTokensPerSecond: Spread;
}

/** How fast one stream runs: tokens of a prompt per second, and new tokens per second after it. */
export async function measureSpeed(model: CausalLM, options: SpeedOptions = {}): Promise<Speed> {
  const { contextLength } = model;
  const { promptTokens = Math.min(512, contextLength >> 1), repeats = 3, signal } = options;
  const { newTokens = Math.max(2, Math.min(128, contextLength - promptTokens)) } = options;
  checkOptions({ promptTokens, newTokens, repeats });
  // Any ids take the same time; these are the same in every run.
  const prompt = Int32Array.from({ length: promptTokens }, (_, i) => (i * 7919) % model.vocabularySize);
  await measureOnce(model, prompt.subarray(0, 16), 2, signal);
  const prefill: number[] = [];
  const decode: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const seconds = await measureOnce(model, prompt, newTokens, signal);
    prefill.push(promptTokens / seconds.prefill);
    decode.push((newTokens - 1) / seconds.decode);
  }
  return {
    promptTokens,
    newTokens,
    repeats,
    prefillTokensPerSecond: spreadOf(prefill),
    decodeTokensPerSecond: spreadOf(decode),
  };
}

async function measureOnce(
  model: CausalLM,
  prompt: Int32Array,
  maxTokens: number,
  signal: AbortSignal | undefined,
) {
  const start = performance.now();
  let first = start;
  let count = 0;
  for await (const _ of generate(model, prompt, { maxTokens, ...(signal && { signal }) })) {
    if (count++ === 0) first = performance.now();
  }
  signal?.throwIfAborted();
  return { prefill: (first - start) / 1000, decode: (performance.now() - first) / 1000 };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, low: sorted[0], high: sorted[sorted.length - 1] };
}

function checkOptions({
  newTokens,
  ...others
}: Record<'promptTokens' | 'newTokens' | 'repeats', number>): void {
  const check = (name: string, value: number, least: number) => {
    if (Number.isInteger(value) && value >= least) return;
    throw new ArgumentError({
      where: 'measureSpeed',
      what: `${name} out of range`,
      got: String(value),
      expected: `an integer, ${least} or more`,
    });
  };
  for (const [name, value] of Object.entries(others)) check(name, value, 1);
  check('newTokens', newTokens, 2); // the first one belongs to the prompt
}
