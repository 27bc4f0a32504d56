import { describe, expect, it } from 'vitest';
import { deduplicate } from './deduplicate.js';
import { FirstReading } from './first-reading.js';
import { LaterReadings } from './later-readings.js';

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

/** Runs of five words the plain way. */
function shinglesOf(words: readonly string[]): Set<string> {
  return new Set(words.slice(4).map((_, i) => words.slice(i, i + 5).join(' ')));
}

/** Similarities of all pairs that share anything, found by what they share: first, second, Jaccard similarity. */
function allPairs(sets: readonly Set<string>[]): [number, number, number][] {
  const owners = new Map<string, number[]>();
  const shared = new Map<number, number>();
  for (const [second, shingles] of sets.entries()) {
    for (const shingle of shingles) {
      const others = owners.get(shingle) ?? [];
      for (const first of others) {
        const pair = first * sets.length + second;
        shared.set(pair, (shared.get(pair) ?? 0) + 1);
      }
      owners.set(shingle, [...others, second]);
    }
  }
  return [...shared].map(([pair, count]) => {
    const [first, second] = [Math.floor(pair / sets.length), pair % sets.length];
    return [first, second, count / (sets[first].size + sets[second].size - count)];
  });
}

/** Texts of 30 to 430 words, and of each three that were edited here and there, the third from the second; in any order. */
function editedTexts(random: () => number, count: number, vocabulary: (i: number) => string): string[][] {
  const word = () => vocabulary(Math.floor(random() * 3000));
  const edited = (words: readonly string[]) => {
    const copy = [...words];
    const edits = Math.ceil(random() * words.length * 0.06);
    for (let i = 0; i < edits; i++) copy[Math.floor(random() * copy.length)] = word();
    return copy;
  };
  const texts = Array.from({ length: count }, () => {
    const words = Array.from({ length: 30 + Math.floor(random() * 400) }, word);
    const second = edited(words);
    return [words, second, edited(second), edited(words)];
  }).flat();
  const different = [...new Map(texts.map((words) => [words.join(), words])).values()];
  return different
    .map((words) => ({ words, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ words }) => words);
}

const LANGUAGES: [string, string, (i: number) => string][] = [
  ['English', ' ', (i) => `word${i}`],
  ['Chinese', '', (i) => String.fromCharCode(0x4e00 + i)],
];
const SEEDS = [7, 98_765, 1, 2, 3];

describe.each(LANGUAGES.flatMap((language) => SEEDS.map((seed) => [...language, seed] as const)))(
  'near duplicates, %s %#',
  (_, separator, vocabulary, seed) => {
    const words = editedTexts(randomNumbers(seed), 250, vocabulary);
    const texts = words.map((each) => each.join(separator));
    const pairs = allPairs(words.map(shinglesOf));
    const similarity = new Map(pairs.map(([first, second, value]) => [first * texts.length + second, value]));

    it('are all found that brute force finds, but for one in twenty; nothing else is', async () => {
      const { originalOf, near } = await deduplicate(() => texts);
      const dropped = texts.map((_, i) => i).filter((i) => originalOf(i) !== i);
      expect(near).toBe(dropped.length);
      expect(dropped.length).toBeGreaterThan(100);
      for (const i of dropped) {
        expect(originalOf(originalOf(i))).toBe(originalOf(i));
        expect(similarity.get(originalOf(i) * texts.length + i)).toBeGreaterThanOrEqual(0.8);
      }
      const isKept = (i: number) => originalOf(i) === i;
      const recall = (most: number) => {
        const alike = pairs.filter(([, , value]) => value >= 0.8 && value < most);
        expect(alike.length).toBeGreaterThan(40);
        return alike.filter(([a, b]) => !isKept(a) || !isKept(b)).length / alike.length;
      };
      expect(recall(1)).toBeGreaterThanOrEqual(0.95);
      expect(recall(0.85)).toBeGreaterThanOrEqual(0.95);
    });

    it('are the same in every run, and where groups must wait for room', async () => {
      const { originalOf } = await deduplicate(() => texts);
      const again = await deduplicate(() => texts);
      expect(texts.map((_, i) => again.originalOf(i))).toEqual(texts.map((_, i) => originalOf(i)));
      const first = new FirstReading(0.8, 5);
      for (const text of texts) first.add(text);
      const later = new LaterReadings(first.group(), 0.8, 5, 1000);
      let readings = 0;
      for (; later.isNeeded; readings++) for (const [i, text] of texts.entries()) later.add(text, i);
      expect(readings).toBeGreaterThan(5);
      expect([...later.originals]).toEqual(texts.map((_, i) => originalOf(i)));
    });
  },
);

describe('deduplicate', () => {
  const sentence = 'The quick brown fox jumps over the lazy dog while seven wizards watch from afar.';

  it('keeps the first of each group, and tells exact copies from near ones', async () => {
    const texts = ['other', sentence, sentence, sentence.toUpperCase(), 'another', '！！', '…', '！！'];
    const duplicates = await deduplicate(() => texts);
    expect(texts.map((_, i) => duplicates.originalOf(i))).toEqual([0, 1, 1, 1, 4, 5, 6, 5]);
    expect(texts.map((_, i) => duplicates.isExact(i))).toEqual(texts.map((_, i) => i === 2 || i === 7));
    expect(duplicates).toMatchObject({ documents: 8, exact: 2, near: 1 });
  });

  it('takes a similarity of just the threshold for a copy, and nothing below', async () => {
    const words = Array.from({ length: 24 }, (_, i) => `word${i}`); // 20 runs of five; a longer text has all of them
    const texts = [words.join(' '), [...words, 'v', 'w', 'x', 'y', 'z'].join(' ')]; // 20 of 25
    expect(await deduplicate(() => texts, { threshold: 0.8 })).toMatchObject({ near: 1 });
    expect(await deduplicate(() => texts, { threshold: 0.8 + 1e-9 })).toMatchObject({ near: 0 });
  });

  it('finds exact copies alone at threshold 1, in one reading', async () => {
    const texts = [sentence, sentence.toUpperCase(), sentence];
    let readings = 0;
    const read = () => {
      readings++;
      return texts;
    };
    const duplicates = await deduplicate(read, { threshold: 1 });
    expect(texts.map((_, i) => duplicates.originalOf(i))).toEqual([0, 1, 0]);
    expect(duplicates).toMatchObject({ exact: 1, near: 0 });
    expect(readings).toBe(1);
  });

  it('never takes short texts for one another', async () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => `number ${i}`);
    expect(await deduplicate(() => texts)).toMatchObject({ exact: 0, near: 0 });
  });

  it('says when another reading brings other texts', async () => {
    const readings = [[sentence, sentence.toUpperCase()], [sentence]];
    const read = () => readings.shift() ?? [];
    await expect(deduplicate(read)).rejects.toThrow(/others at another reading: got 1; expected 2/);
  });

  it.each([[{ threshold: 0 }], [{ threshold: 1.5 }], [{ shingle: 0 }]])('refuses %j', async (options) => {
    await expect(deduplicate(() => [], options)).rejects.toThrow(/out of range/);
  });
});
