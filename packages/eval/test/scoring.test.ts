import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadModel } from '@frugal/models';
import { expectNoLeaks, fill, NonFiniteError } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { compareOutputs, scoreContinuations } from '../src/index.js';
import { byteTokenizer, tinyModel } from './support/tiny.js';

const oracles = (name: string) =>
  fileURLToPath(new URL(`../../../oracles/fixtures/${name}`, import.meta.url));

interface Recorded {
  readonly model: string;
  readonly likelihoods: readonly {
    readonly prompt: readonly number[];
    readonly continuations: readonly (readonly number[])[];
    readonly logLikelihoods: readonly number[];
  }[];
}

/** Texts of numbers: one id per word. */
const wordTokenizer = { encode: (text: string) => Int32Array.from(text.trim().split(/\s+/), Number) };
const write = (ids: readonly number[]) => ids.map((id) => ` ${id}`).join('');

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of source) found.push(each);
  return found;
}

describe('scoreContinuations', () => {
  it.each([1, 24, 4096])('gives what transformers gives, %i tokens a step', async (tokensPerStep) => {
    const fixture: Recorded = JSON.parse(readFileSync(oracles('eval.json'), 'utf8'));
    const model = await loadModel(oracles(fixture.model));
    const requests = fixture.likelihoods.map(({ prompt, continuations }) => ({
      prompt: write(prompt),
      continuations: continuations.map(write),
    }));
    const scores = await collect(scoreContinuations(model, wordTokenizer, requests, { tokensPerStep }));
    expect(scores).toHaveLength(fixture.likelihoods.length);
    scores.forEach((each, i) => {
      const { logLikelihoods, continuations } = fixture.likelihoods[i];
      each.forEach(({ logLikelihood, tokens }, j) => {
        expect(Math.abs(logLikelihood / logLikelihoods[j] - 1)).toBeLessThan(2e-5);
        expect(tokens).toBe(continuations[j].length);
      });
    });
  });

  it('counts what a merge changes to the continuation', async () => {
    // "ab" is one token: behind a prompt that ends with "a" it takes the place of the prompt's last token.
    const merging = {
      encode: (text: string) =>
        Int32Array.from(text.match(/ab|./g) ?? [], (piece) => (piece === 'ab' ? 200 : piece.charCodeAt(0))),
    };
    const request = { prompt: 'xa', continuations: ['b', 'c'] };
    const [scores] = await collect(scoreContinuations(tinyModel(), merging, [request]));
    expect(scores.map(({ tokens }) => tokens)).toEqual([1, 1]);
    expect(scores[0].logLikelihood).not.toBe(scores[1].logLikelihood);
  });

  it('leaves no tensors behind, and refuses broken weights', async () => {
    const requests = [{ prompt: 'ab', continuations: ['c', 'de'] }];
    const tokenizer = byteTokenizer({ bos: true });
    const model = tinyModel();
    await expectNoLeaks(async () => {
      await collect(scoreContinuations(model, tokenizer, requests));
    });
    const broken = tinyModel();
    const [first] = broken.parameters();
    first.value = fill(first.value, Number.NaN);
    await expect(collect(scoreContinuations(broken, tokenizer, requests))).rejects.toThrow(NonFiniteError);
  });
});

describe('compareOutputs', () => {
  const text = ['Whatever is worth doing at all is worth doing well. 三国'];

  it('finds nothing between a model and itself', async () => {
    const result = await compareOutputs(tinyModel(), tinyModel(), byteTokenizer({ bos: false }), text, {
      context: 16,
    });
    expect(result).toMatchObject({ kl: 0, kl99: 0, sameTop: 1 });
  });

  it('is the mean KL of the distributions', async () => {
    const [reference, candidate] = [tinyModel(1), tinyModel(2)];
    const tokenizer = byteTokenizer({ bos: false });
    const result = await expectNoLeaks(() =>
      compareOutputs(reference, candidate, tokenizer, text, { context: 16 }),
    );
    expect(result.positions).toBe(new TextEncoder().encode(text[0]).length);
    expect(result.kl).toBeGreaterThan(0);
    expect(result.interval[0]).toBeLessThanOrEqual(result.kl);
    expect(result.interval[1]).toBeGreaterThanOrEqual(result.kl);
    expect(result.sameTop).toBeLessThan(1);
  });

  it('gives an interval of the mean over positions, in which a short window counts as little as it should', async () => {
    const [reference, candidate] = [tinyModel(1), tinyModel(2)];
    const tokenizer = byteTokenizer({ bos: false });
    // Windows of one text are all alike, and so are those of the other: resampling can only mix two means.
    const meanOf = async (each: string) =>
      (await compareOutputs(reference, candidate, tokenizer, [each], { context: 16 })).kl;
    const [long, short] = ['abcdefghijklmnop', 'zz'];
    const result = await compareOutputs(
      reference,
      candidate,
      tokenizer,
      [...Array.from({ length: 8 }, () => long), ...Array.from({ length: 40 }, () => short)],
      { context: 16 },
    );
    const [a, b] = [await meanOf(long), await meanOf(short)];
    expect(result.kl).toBeCloseTo((8 * 16 * a + 40 * 2 * b) / (8 * 16 + 40 * 2), 6);
    expect(result.interval[0]).toBeLessThanOrEqual(result.kl);
    expect(result.interval[1]).toBeGreaterThanOrEqual(result.kl);
  });

  it('says that weights are broken', async () => {
    const broken = tinyModel(2);
    const [first] = broken.parameters();
    first.value = fill(first.value, Number.NaN);
    const tokenizer = byteTokenizer({ bos: false });
    await expect(compareOutputs(tinyModel(1), broken, tokenizer, text)).rejects.toThrow(NonFiniteError);
  });
});
