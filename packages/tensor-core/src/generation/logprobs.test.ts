import { describe, expect, it } from 'vitest';
import { logprobsOf } from './logprobs.js';

describe('logprobsOf', () => {
  const logits = Float32Array.of(1, 3, -2, 3, 0);

  it('is log softmax', () => {
    const total = [1, 3, -2, 3, 0].reduce((sum, value) => sum + Math.exp(value), 0);
    expect(logprobsOf(logits, 2, 0)).toEqual({
      id: 2,
      logprob: expect.closeTo(-2 - Math.log(total), 12),
      top: [],
    });
  });

  it('orders the most likely tokens, equal ones by id', () => {
    expect(logprobsOf(logits, 0, 4).top.map(({ id }) => id)).toEqual([1, 3, 0, 4]);
    expect(logprobsOf(logits, 0, 9).top).toHaveLength(5);
  });

  it('stands large logits', () => {
    expect(logprobsOf(Float32Array.of(3e38, 0), 0, 0).logprob).toBe(0);
  });
});
