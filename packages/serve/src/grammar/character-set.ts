/** Inclusive range of Unicode code points. */
export type CharacterRange = readonly [from: number, to: number];

/** Code points as ascending ranges with gaps between them. Surrogates are in none: text has no such characters. */
export type CharacterSet = readonly CharacterRange[];

const LAST = 0x10ffff;
const SURROGATES: CharacterRange = [0xd800, 0xdfff];

/** The set of all characters in some ranges, which may overlap and come in any order. */
export function characterSet(ranges: readonly CharacterRange[]): CharacterSet {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged.flatMap((range) => without(range, SURROGATES));
}

/** The set of the characters of a text. */
export function charactersOf(text: string): CharacterSet {
  return characterSet(Array.from(text, (character) => [codePoint(character), codePoint(character)] as const));
}

export function complement(set: CharacterSet): CharacterSet {
  const gaps: CharacterRange[] = [];
  let next = 0;
  for (const [from, to] of set) {
    if (from > next) gaps.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= LAST) gaps.push([next, LAST]);
  return characterSet(gaps);
}

export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  const common: CharacterRange[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const from = Math.max(a[i][0], b[j][0]);
    const to = Math.min(a[i][1], b[j][1]);
    if (from <= to) common.push([from, to]);
    if (a[i][1] < b[j][1]) i++;
    else j++;
  }
  return common;
}

export function difference(a: CharacterSet, b: CharacterSet): CharacterSet {
  return intersection(a, complement(b));
}

export const ANY_CHARACTER: CharacterSet = characterSet([[0, LAST]]);

export function codePoint(character: string): number {
  return character.codePointAt(0) as number;
}

function without([from, to]: CharacterRange, [first, last]: CharacterRange): CharacterRange[] {
  const parts: CharacterRange[] = [
    [from, Math.min(to, first - 1)],
    [Math.max(from, last + 1), to],
  ];
  return parts.filter((part) => part[0] <= part[1]);
}
