import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../index.js';
import { checkPenalties, TokenHistory } from './penalties.js';
import { Sampler } from './sampler.js';

const logits = Float32Array.of(2, -2, 1, 0.5, -1);

function history(prompt: number[], text: number[]): TokenHistory {
  const made = new TokenHistory(prompt);
  for (const id of text) made.add(id);
  return made;
}

describe('TokenHistory', () => {
  it('leaves logits alone without penalties', () => {
    expect(history([0], [1]).penalize(logits, {})).toBe(logits);
    expect(history([0], [1]).penalize(logits, { repetitionPenalty: 1, presencePenalty: 0 })).toBe(logits);
  });

  it('repetition: prompt and text, each token once, towards less likely on both sides of 0', () => {
    const found = history([0, 0, 1], [1, 3]).penalize(logits, { repetitionPenalty: 2 });
    expect([...found]).toEqual([1, -4, 1, 0.25, -1]);
    expect([...logits]).toEqual([2, -2, 1, 0.5, -1]);
  });

  it('frequency and presence: the text only', () => {
    const options = { frequencyPenalty: 0.5, presencePenalty: 0.25 };
    expect([...history([0, 2], [2, 3, 3]).penalize(logits, options)]).toEqual([2, -2, 0.25, -0.75, -1]);
  });

  it('bias comes first, so that repetition sees it', () => {
    const found = history([1], []).penalize(logits, { logitBias: { 1: 4 }, repetitionPenalty: 2 });
    expect(found[1]).toBe(1);
  });
});

describe('Sampler', () => {
  it('remembers what it chose', () => {
    const sampler = new Sampler({ presencePenalty: 10 }, [0]);
    expect([1, 2, 3].map(() => sampler.next(logits).id)).toEqual([0, 2, 3]);
    expect(sampler.count).toBe(3);
  });

  it('forbids and forces tokens', () => {
    const forbids = new Sampler({ logitBias: { 0: Number.NEGATIVE_INFINITY } }, []);
    expect(forbids.next(logits).id).toBe(2);
    expect(new Sampler({ logitBias: { 4: 100 }, temperature: 1 }, []).next(logits).id).toBe(4);
  });
});

describe('checkPenalties', () => {
  it.each([
    ['repetitionPenalty', { repetitionPenalty: 0 }],
    ['repetitionPenalty', { repetitionPenalty: Number.NaN }],
    ['frequencyPenalty', { frequencyPenalty: Number.POSITIVE_INFINITY }],
    ['presencePenalty', { presencePenalty: Number.NaN }],
    ['logitBias', { logitBias: { 7: 1 } }],
    ['logitBias', { logitBias: { 1: Number.NaN } }],
  ])('refuses %s out of range', (name, options) => {
    expect(() => checkPenalties(options, 7)).toThrow(ArgumentError);
    expect(() => checkPenalties(options, 7)).toThrow(name);
  });
});
