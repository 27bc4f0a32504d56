import type { CharacterRange } from './character-set.js';

/** Inclusive range of bytes. */
export type ByteRange = readonly [from: number, to: number];

/** First code points with one more byte, and the marks of their first bytes. */
const LENGTHS = [
  { last: 0x7f, mark: 0 },
  { last: 0x7ff, mark: 0xc0 },
  { last: 0xffff, mark: 0xe0 },
  { last: 0x10ffff, mark: 0xf0 },
];

/**
 * A range of code points as sequences of byte ranges: together they match exactly the UTF-8 of its characters (as in
 * Thompson's and Cox's utf8-ranges).
 */
export function utf8Sequences([from, to]: CharacterRange): readonly (readonly ByteRange[])[] {
  for (const { last } of LENGTHS) {
    if (from <= last && last < to) return [...utf8Sequences([from, last]), ...utf8Sequences([last + 1, to])];
  }
  const length = LENGTHS.findIndex(({ last }) => to <= last) + 1;
  for (let i = 1; i < length; i++) {
    const low = (1 << (6 * i)) - 1; // the bits of the last i bytes
    if ((from | low) === (to | low)) continue;
    if ((from & low) !== 0)
      return [...utf8Sequences([from, from | low]), ...utf8Sequences([(from | low) + 1, to])];
    if ((to & low) !== low)
      return [...utf8Sequences([from, (to & ~low) - 1]), ...utf8Sequences([to & ~low, to])];
  }
  const [first, last] = [encode(from, length), encode(to, length)];
  return [first.map((byte, i) => [byte, last[i]] as const)];
}

function encode(code: number, length: number): number[] {
  return Array.from({ length }, (_, i) => {
    const bits = code >> (6 * (length - 1 - i));
    return i === 0 ? LENGTHS[length - 1].mark | bits : 0x80 | (bits & 0x3f);
  });
}
