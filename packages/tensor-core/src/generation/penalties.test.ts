import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../index.js';
import { checkPenalties, type PenaltyOptions, TokenHistory } from './penalties.js';
import { Sampler } from './sampler.js';

const logits = Float32Array.of(2, -2, 1, 0.5, -1);

function history(prompt: number[], text: number[]): TokenHistory {
  const made = new TokenHistory(prompt);
  for (const id of text) made.add(id);
  return made;
}

function penalized(made: TokenHistory, options: PenaltyOptions): number[] {
  const changed = logits.slice();
  made.penalize(changed, options);
  return [...changed];
}

describe('TokenHistory', () => {
  it('leaves logits alone without penalties', () => {
    expect(penalized(history([0], [1]), {})).toEqual([...logits]);
    expect(penalized(history([0], [1]), { repetitionPenalty: 1, presencePenalty: 0 })).toEqual([...logits]);
  });

  it('repetition: prompt and text, each token once, towards less likely on both sides of 0', () => {
    const found = penalized(history([0, 0, 1], [1, 3]), { repetitionPenalty: 2 });
    expect(found).toEqual([1, -4, 1, 0.25, -1]);
  });

  it('frequency and presence: the text only', () => {
    const options = { frequencyPenalty: 0.5, presencePenalty: 0.25 };
    expect(penalized(history([0, 2], [2, 3, 3]), options)).toEqual([2, -2, 0.25, -0.75, -1]);
  });

  it('bias comes first, so that repetition sees it', () => {
    const found = penalized(history([1], []), { logitBias: { 1: 4 }, repetitionPenalty: 2 });
    expect(found[1]).toBe(1);
  });
});

describe('Sampler', () => {
  it('remembers what it chose', () => {
    const sampler = new Sampler({ presencePenalty: 10 }, [0]);
    expect([1, 2, 3].map(() => sampler.accept(logits).id)).toEqual([0, 2, 3]);
    expect(sampler.count).toBe(3);
  });

  it('forbids and forces tokens', () => {
    const forbids = new Sampler({ logitBias: { 0: Number.NEGATIVE_INFINITY } }, []);
    expect(forbids.accept(logits).id).toBe(2);
    expect(new Sampler({ logitBias: { 4: 100 }, temperature: 1 }, []).accept(logits).id).toBe(4);
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
