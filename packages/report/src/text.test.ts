import { describe, expect, it } from 'vitest';
import { displayWidth, escapeMarkup, singleLine, truncate } from './text.js';

describe('displayWidth', () => {
  it.each([
    ['abc', 3],
    ['三国演义', 8],
    ['カタカナ', 8],
    ['ｶﾅ', 2],
    ['한국어', 6],
    ['café', 4],
    ['cafe\u0301', 4],
    ['😀', 2],
    ['👩‍👩‍👧', 2],
    ['，。', 4],
    ['', 0],
  ])('%s takes %d cells', (text, cells) => expect(displayWidth(text)).toBe(cells));
});

it('truncates by cells, never in the middle of a wide character', () => {
  expect(truncate('三国演义', 8)).toBe('三国演义');
  expect(truncate('三国演义', 6)).toBe('三国…');
  expect(truncate('abcdef', 4)).toBe('abc…');
});

it('makes one line of anything', () => {
  expect(singleLine('a\nb\tc\u001b[31mred\u0000')).toBe('a b c [31mred ');
  expect(singleLine('evil\u202egnp.exe')).toBe('evil gnp.exe');
  expect(singleLine('\ud800')).toBe('\ufffd');
});

it('escapes what markup gives a meaning', () => {
  expect(escapeMarkup(`<a href="x" b='y'>&`)).toBe('&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;');
  expect(escapeMarkup('\u0008\uffff')).toBe(' \ufffd');
});
