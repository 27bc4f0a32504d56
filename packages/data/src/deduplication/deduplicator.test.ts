import { describe, expect, it } from 'vitest';
import { Deduplicator } from './deduplicator.js';

/** Numbers that are the same in every run (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Shingles the plain way, for comparison. */
function shinglesOf(words: readonly string[]): Set<string> {
  return new Set(words.slice(4).map((_, i) => words.slice(i, i + 5).join(' ')));
}

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const shared = [...a].filter((shingle) => b.has(shingle)).length;
  return shared / (a.size + b.size - shared);
}

function duplicatesOf(texts: readonly string[], options = {}) {
  const deduplicator = new Deduplicator(options);
  for (const text of texts) deduplicator.add(text);
  return deduplicator.finish();
}

/** Pairs of documents, the second with `edits` words replaced here and there. */
function editedPairs(random: () => number, count: number, vocabulary: (i: number) => string) {
  return Array.from({ length: count }, () => {
    const length = 30 + Math.floor(random() * 400);
    const words = Array.from({ length }, () => vocabulary(Math.floor(random() * 3000)));
    const edited = [...words];
    const edits = Math.ceil(random() * length * 0.06);
    for (let i = 0; i < edits; i++)
      edited[Math.floor(random() * length)] = vocabulary(Math.floor(random() * 3000));
    return { words, edited, similarity: jaccard(shinglesOf(words), shinglesOf(edited)) };
  });
}

describe.each([
  ['English', ' ', (i: number) => `word${i}`],
  ['Chinese', '', (i: number) => String.fromCharCode(0x4e00 + i)],
])('near duplicates, %s', (_, separator, vocabulary) => {
  const pairs = editedPairs(randomNumbers(7), 600, vocabulary);
  const texts = [...pairs.map((pair) => pair.words), ...pairs.map((pair) => pair.edited)].map((words) =>
    words.join(separator),
  );
  const duplicates = duplicatesOf(texts);
  const isFound = (i: number) => duplicates.originalOf(pairs.length + i) === i;

  it('are found as brute force finds them: recall of 0.95 from similarity 0.8', () => {
    const alike = pairs
      .map(({ similarity }, i) => ({ similarity, i }))
      .filter(({ similarity }) => similarity >= 0.8);
    expect(alike.length).toBeGreaterThan(100);
    expect(alike.filter(({ i }) => isFound(i)).length / alike.length).toBeGreaterThanOrEqual(0.95);
    const close = alike.filter(({ similarity }) => similarity < 0.85);
    expect(close.length).toBeGreaterThan(20);
    expect(close.filter(({ i }) => isFound(i)).length / close.length).toBeGreaterThanOrEqual(0.95);
  });

  it('are not found where texts are less than 0.6 alike', () => {
    const unlike = pairs
      .map(({ similarity }, i) => ({ similarity, i }))
      .filter(({ similarity }) => similarity < 0.6);
    expect(unlike.length).toBeGreaterThan(20);
    expect(unlike.filter(({ i }) => isFound(i))).toEqual([]);
  });

  it('are the same in every run', () => {
    const again = duplicatesOf(texts);
    expect(texts.map((_, i) => again.originalOf(i))).toEqual(texts.map((_, i) => duplicates.originalOf(i)));
  });
});

describe('Deduplicator', () => {
  const sentence = 'The quick brown fox jumps over the lazy dog while seven wizards watch from afar.';

  it('keeps the first of each group, and tells exact copies from near ones', () => {
    const texts = ['other', sentence, sentence, sentence.toUpperCase(), 'another', '！！', '…', '！！'];
    const duplicates = duplicatesOf(texts);
    expect(texts.map((_, i) => duplicates.originalOf(i))).toEqual([0, 1, 1, 1, 4, 5, 6, 5]);
    expect(duplicates).toMatchObject({ documents: 8, exact: 2, near: 1 });
  });

  it('finds exact copies alone at threshold 1', () => {
    const texts = [sentence, sentence.toUpperCase(), sentence];
    const duplicates = duplicatesOf(texts, { threshold: 1 });
    expect(texts.map((_, i) => duplicates.originalOf(i))).toEqual([0, 1, 0]);
    expect(duplicates).toMatchObject({ exact: 1, near: 0 });
  });

  it('never takes short texts for one another', () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => `number ${i}`);
    expect(duplicatesOf(texts)).toMatchObject({ exact: 0, near: 0 });
  });

  it.each([[{ threshold: 0 }], [{ threshold: 1.5 }], [{ shingle: 0 }]])('refuses %j', (options) => {
    expect(() => new Deduplicator(options)).toThrow(/out of range/);
  });
});
