import { expectNoLeaks, fill, NonFiniteError, noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { perplexity } from '../src/index.js';
import { byteTokenizer, tinyModel } from './support/tiny.js';

/** -log p of each id after the first, from whole logits in f64. */
async function lossesOf(model: CausalLM, ids: number[]): Promise<number[]> {
  const logits = scope(() => noGrad(() => model.forward(stepBatch([ids], { vocabularySize: 257 })).logits()));
  const values = await logits.toFloat32();
  return ids.slice(1).map((id, i) => {
    const row = values.subarray(i * 257, (i + 1) * 257);
    const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
    return Math.log(total) - row[id];
  });
}

const text = 'Whatever is worth doing at all is worth doing well. 三国';
const bytes = [...new TextEncoder().encode(text)];
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

describe('perplexity', () => {
  const model = tinyModel();
  const bare = byteTokenizer({ bos: false });

  it('scores all but the first token of each window', async () => {
    const windows = [bytes.slice(0, 20), bytes.slice(20, 40), bytes.slice(40)];
    const losses = (await Promise.all(windows.map((window) => lossesOf(model, window)))).flat();
    const result = await perplexity(model, bare, text, { context: 20 });
    expect(result.tokens).toBe(bytes.length - 3);
    expect(result.bytes).toBe(bytes.length - 3);
    expect(result.nll).toBeCloseTo(sum(losses) / losses.length, 5);
    expect(result.perplexity).toBeCloseTo(Math.exp(result.nll), 8);
    expect(result.bitsPerByte).toBeCloseTo(sum(losses) / Math.LN2 / losses.length, 5);
  });

  it('lets BOS stand for the unscored token where the tokenizer adds it', async () => {
    const ids = [256, ...bytes.slice(0, 20)];
    const result = await perplexity(model, byteTokenizer({ bos: true }), text.slice(0, 20));
    expect(result.tokens).toBe(20);
    expect(result.bytes).toBe(20);
    expect(result.nll).toBeCloseTo(sum(await lossesOf(model, ids)) / 20, 5);
  });

  it('scores the letters of special tokens, as training packs them', async () => {
    const special = '<|endoftext|>';
    const tokenizer = trainByteLevelBpe(['a'], { vocabularySize: 257, specialTokens: [special] });
    const result = await perplexity(model, tokenizer, `ab${special}`);
    expect(result.tokens).toBe(2 + special.length); // this tokenizer puts its own special token first
    expect(result.bytes).toBe(result.tokens);
  });

  it('keeps texts apart, and does not depend on how windows are grouped', async () => {
    const apart = await Promise.all([perplexity(model, bare, 'abcdef'), perplexity(model, bare, 'ghi')]);
    const together = await perplexity(model, bare, ['abcdef', 'ghi', '', 'x']);
    expect(together.nll * together.tokens).toBeCloseTo(sum(apart.map(({ nll, tokens }) => nll * tokens)), 4);
    const results = await Promise.all(
      [1, 30, 1000].map((tokensPerStep) => perplexity(model, bare, text, { context: 8, tokensPerStep })),
    );
    for (const result of results) expect(result.nll).toBeCloseTo(results[0].nll, 6);
  });

  it('reports progress and leaves no tensors behind', async () => {
    const events: number[] = [];
    await expectNoLeaks(() =>
      perplexity(model, bare, text, {
        context: 8,
        tokensPerStep: 8,
        onProgress: ({ done }) => events.push(done),
      }),
    );
    expect(events.at(-1)).toBe(bytes.length - Math.ceil(bytes.length / 8));
    expect(events.length).toBeGreaterThan(3);
  });

  it('can be stopped', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(perplexity(model, bare, text, { signal })).rejects.toThrow('enough');
  });

  it.each([
    ['an empty text', '', {}],
    ['one token', 'a', {}],
    ['a window of one token', text, { context: 1 }],
    ['a window longer than the context', text, { context: 33 }],
    ['half a token', text, { context: 2.5 }],
  ])('refuses %s', async (_, input, options) => {
    await expect(perplexity(model, bare, input, options)).rejects.toThrow(
      /^\[perplexity\] (nothing to score|context)/,
    );
  });

  it('refuses to average losses that are not numbers', async () => {
    const broken = tinyModel();
    const [first] = broken.parameters();
    first.value = fill(first.value, Number.NaN);
    await expect(perplexity(broken, bare, text)).rejects.toThrow(NonFiniteError);
  });
});
