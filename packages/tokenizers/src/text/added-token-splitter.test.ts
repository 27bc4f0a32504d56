import { describe, expect, it } from 'vitest';
import type { AddedToken } from '../definition.js';
import { specialToken } from '../file/config.js';
import { AddedTokenSplitter } from './added-token-splitter.js';

const split = (text: string, ...tokens: (string | Partial<AddedToken>)[]): string[] => {
  const added = tokens.map((token, id) =>
    typeof token === 'string' ? specialToken(id, token) : { ...specialToken(id, ''), ...token },
  );
  return new AddedTokenSplitter(added)
    .split(text)
    .map((piece) => (typeof piece === 'string' ? piece : `[${piece.content}]`));
};

describe('AddedTokenSplitter', () => {
  it('takes the longest token at the leftmost place', () => {
    expect(split('abcd abx', 'ab', 'abc', 'bcd')).toEqual(['[abc]', 'd ', '[ab]', 'x']);
  });

  it('goes on after a beginning that came to nothing', () => {
    expect(split('aaab', 'aab')).toEqual(['a', '[aab]']);
  });

  it('gives whole text without tokens, and nothing for nothing', () => {
    expect(split('abc')).toEqual(['abc']);
    expect(split('', 'a')).toEqual([]);
  });

  it('takes white space along, but none that is another token', () => {
    expect(split('a \t<m>\n b', { content: '<m>', stripLeft: true, stripRight: true })).toEqual([
      'a',
      '[<m>]',
      'b',
    ]);
    expect(split('<m> <m>', { content: '<m>', stripLeft: true })).toEqual(['[<m>]', '[<m>]']);
  });

  it('finds single words only between other characters', () => {
    const token = { content: 'cat', singleWord: true };
    expect(split('cat, cats cat_ 猫cat 𝒳cat 🙂cat', token)).toEqual([
      '[cat]',
      ', cats cat_ 猫cat 𝒳cat 🙂',
      '[cat]',
    ]);
  });
});
