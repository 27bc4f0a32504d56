import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../index.js';
import { type PromptLookupOptions, promptLookup } from './prompt-lookup.js';

function guess(tokens: number[], count: number, options?: PromptLookupOptions) {
  const text = { prompt: tokens, vocabularySize: 100, longest: 100, sampling: {} };
  return promptLookup(options).open(text).propose(tokens, count);
}

describe('promptLookup', () => {
  it('goes on as the text did the last time', () => {
    expect(guess([1, 2, 3, 4, 1, 2, 5, 6, 1, 2], 2)).toEqual([5, 6]);
  });

  it('prefers the longer agreement, though it is older', () => {
    expect(guess([9, 1, 2, 3, 4, 1, 2, 5, 6, 9, 1, 2], 2)).toEqual([3, 4]);
    expect(guess([9, 1, 2, 3, 4, 1, 2, 5, 6, 9, 1, 2], 2, { longest: 2 })).toEqual([5, 6]);
  });

  it('repeats what has a period', () => {
    expect(guess([8, 1, 2, 1, 2, 1], 5)).toEqual([2, 1, 2, 1, 2]);
    expect(guess([8, 3, 3], 4, { shortest: 1 })).toEqual([3, 3, 3, 3]);
  });

  it('is silent where nothing agrees', () => {
    expect(guess([1, 2, 3], 4)).toEqual([]);
    expect(guess([1], 4)).toEqual([]);
    expect(guess([1, 2, 1], 4)).toEqual([]);
    expect(guess([1, 2, 1], 1, { shortest: 1 })).toEqual([2]);
  });

  it('refuses sizes out of range', () => {
    for (const options of [{ shortest: 0 }, { longest: 1, shortest: 2 }, { longest: 2.5 }])
      expect(() => promptLookup(options)).toThrow(ArgumentError);
  });
});
