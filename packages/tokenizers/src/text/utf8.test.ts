import { expect, it } from 'vitest';
import { randomNumbers, randomText } from '../../test/support.js';
import { incompleteSuffix, strictUtf8Text, Utf8Joiner, utf8Bytes, utf8Text, writeUtf8 } from './utf8.js';

it('writes UTF-8 as TextEncoder', () => {
  const random = randomNumbers(2);
  const bytes = new Uint8Array(1000);
  for (let round = 0; round < 500; round++) {
    const text = randomText(random, 20).toWellFormed();
    expect(bytes.slice(0, writeUtf8(text, bytes))).toEqual(utf8Bytes(text));
  }
});

it('joins bytes in pieces to the text of the whole, also invalid ones', () => {
  const random = randomNumbers(3);
  // Bytes at the edges of what UTF-8 allows are likely.
  const edges = [
    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe4, 0xed, 0xef, 0xf0,
    0xf1, 0xf4, 0xf5, 0xff,
  ];
  for (let round = 0; round < 20000; round++) {
    const bytes = Uint8Array.from(
      { length: Math.floor(random() * 9) },
      () => edges[Math.floor(random() * edges.length)],
    );
    const joiner = new Utf8Joiner();
    let text = '';
    for (let start = 0; start < bytes.length; ) {
      const end = Math.min(bytes.length, start + 1 + Math.floor(random() * 3));
      text += joiner.push(bytes.subarray(start, end));
      start = end;
    }
    expect(text + joiner.flush()).toBe(utf8Text(bytes));
  }
});

it('waits exactly for what can still become a character', () => {
  const endings = { 你: 2, '🙂': 3, é: 1 };
  for (const [character, most] of Object.entries(endings)) {
    const bytes = utf8Bytes(character);
    for (let length = 1; length <= most; length++) expect(incompleteSuffix(bytes, length)).toBe(length);
    expect(incompleteSuffix(bytes)).toBe(0);
  }
  for (const hopeless of [[0x80], [0xc1], [0xe0, 0x80], [0xed, 0xa0], [0xf0, 0x80], [0xf4, 0x90], [0xf5]]) {
    expect(incompleteSuffix(Uint8Array.from(hopeless))).toBe(0);
  }
});

it('keeps a byte order mark, which is text here', () => {
  expect(utf8Text(utf8Bytes('\ufeffa'))).toBe('\ufeffa');
  expect(strictUtf8Text(utf8Bytes('\ufeffa'))).toBe('\ufeffa');
  expect(strictUtf8Text(Uint8Array.of(0xff))).toBeUndefined();
});
