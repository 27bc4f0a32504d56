import { utf8Bytes } from '../text/utf8.js';
import type { PairStatistics } from './pair-statistics.js';

/** All distinct words as symbols, one after another. */
export interface Corpus {
  readonly symbols: Int32Array;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly counts: Float64Array;
}

export function makeCorpus(words: ReadonlyMap<string, number>, byteIds: Int32Array): Corpus {
  const starts = new Int32Array(words.size);
  const lengths = new Int32Array(words.size);
  const counts = new Float64Array(words.size);
  let symbols = new Int32Array(Math.max(1024, words.size * 8));
  let word = 0;
  let at = 0;
  for (const [text, count] of words) {
    const bytes = utf8Bytes(text);
    if (at + bytes.length > symbols.length) {
      const larger = new Int32Array((at + bytes.length) * 2);
      larger.set(symbols);
      symbols = larger;
    }
    starts[word] = at;
    lengths[word] = bytes.length;
    counts[word] = count;
    for (const byte of bytes) symbols[at++] = byteIds[byte];
    word++;
  }
  return { symbols, starts, lengths, counts };
}

/** Applies merges to a corpus and keeps the statistics of its pairs true. */
export class Merger {
  /** Pairs whose counts rose in the current merge. */
  private risen: number[] = [];
  /** Per pair: the last merge in which its count rose, so that it is listed once. */
  private lastRise = new Int32Array(1 << 16);
  private merges = 0;

  constructor(
    private readonly corpus: Corpus,
    private readonly statistics: PairStatistics,
  ) {}

  /** Counts all pairs of the corpus. */
  countPairs(): void {
    const { symbols, starts, lengths, counts } = this.corpus;
    for (let word = 0; word < starts.length; word++) {
      const end = starts[word] + lengths[word] - 1;
      for (let i = starts[word]; i < end; i++) {
        this.statistics.add(this.statistics.indexOf(symbols[i], symbols[i + 1]), counts[word], word);
      }
    }
  }

  /** Puts `merged` wherever the pair stands. Returns the pairs whose counts rose. */
  merge(pair: number, merged: number): readonly number[] {
    const { statistics } = this;
    const left = statistics.left[pair];
    const right = statistics.right[pair];
    this.risen = [];
    this.merges++;
    for (let entry = statistics.firstEntry(pair); entry >= 0; entry = statistics.nextEntry(entry)) {
      this.mergeInWord(statistics.wordOf(entry), left, right, merged);
    }
    statistics.count[pair] = 0;
    return this.risen;
  }

  private mergeInWord(word: number, left: number, right: number, merged: number): void {
    const { symbols, starts, lengths, counts } = this.corpus;
    const start = starts[word];
    const end = start + lengths[word];
    const count = counts[word];
    let to = start;
    for (let from = start; from < end; ) {
      if (symbols[from] !== left || from + 1 >= end || symbols[from + 1] !== right) {
        symbols[to++] = symbols[from++];
        continue;
      }
      from += 2;
      if (to > start) {
        this.lower(symbols[to - 1], left, count);
        this.raise(symbols[to - 1], merged, count, word);
      }
      symbols[to++] = merged;
      if (from < end) {
        this.lower(right, symbols[from], count);
        this.raise(merged, symbols[from], count, word);
      }
    }
    lengths[word] = to - start;
  }

  private lower(left: number, right: number, count: number): void {
    const { statistics } = this;
    statistics.count[statistics.indexOf(left, right)] -= count;
  }

  private raise(left: number, right: number, count: number, word: number): void {
    const { statistics } = this;
    const pair = statistics.indexOf(left, right);
    statistics.add(pair, count, word);
    if (pair >= this.lastRise.length) {
      const larger = new Int32Array(Math.max(pair + 1, this.lastRise.length * 2));
      larger.set(this.lastRise);
      this.lastRise = larger;
    }
    if (this.lastRise[pair] === this.merges) return;
    this.lastRise[pair] = this.merges;
    this.risen.push(pair);
  }
}
