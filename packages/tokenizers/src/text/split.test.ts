import { expect, it } from 'vitest';
import { createSplit, type SplitBehavior } from './split.js';

const cut = (text: string, pattern: RegExp, behavior: SplitBehavior, invert = false): string[] => {
  const pieces: string[] = [];
  createSplit(pattern, behavior, invert)(text, (piece) => pieces.push(piece));
  return pieces;
};

// The example of the documentation of Hugging Face's tokenizers.
const text = 'the-final--countdown';
it.each<[SplitBehavior, string[]]>([
  ['removed', ['the', 'final', 'countdown']],
  ['isolated', ['the', '-', 'final', '-', '-', 'countdown']],
  ['mergedwithprevious', ['the-', 'final-', '-', 'countdown']],
  ['mergedwithnext', ['the', '-final', '-', '-countdown']],
  ['contiguous', ['the', '-', 'final', '--', 'countdown']],
])('%s', (behavior, expected) => {
  expect(cut(text, /-/gu, behavior)).toEqual(expected);
});

it('takes what does not match for the match, inverted', () => {
  expect(cut('ab12c', /[a-z]+/gu, 'removed', true)).toEqual(['ab', 'c']);
  expect(cut('ab12c', /[a-z]+/gu, 'isolated', true)).toEqual(['ab', '12', 'c']);
});

it('passes over empty matches and keeps what lies between matches', () => {
  expect(cut('a1🙂b', /\d*/gu, 'isolated')).toEqual(['a', '1', '🙂b']);
  expect(cut('', /a/gu, 'isolated')).toEqual([]);
});
