import { hashPair } from '../model/pair-table.js';

/** Growing typed arrays double. */
function grow<T extends Int32Array | Float64Array>(array: T, make: (length: number) => T): T {
  const larger = make(array.length * 2);
  larger.set(array as never);
  return larger;
}

const int32 = (length: number): Int32Array => new Int32Array(length);
const float64 = (length: number): Float64Array => new Float64Array(length);

/**
 * For each pair of neighbouring symbols: how often it occurs (weighted by the words' counts) and in which words. A pair
 * has a small index; pairs are found by an open-addressing table, and the words of a pair are a linked list in one pool.
 */
export class PairStatistics {
  left: Int32Array = new Int32Array(1 << 16);
  right: Int32Array = new Int32Array(1 << 16);
  count: Float64Array = new Float64Array(1 << 16);
  size = 0;

  private slots: Int32Array = new Int32Array(1 << 18).fill(-1);
  /** Per pair: its newest entry in the pool, or -1. */
  private newest: Int32Array = new Int32Array(1 << 16);
  private poolWord: Int32Array = new Int32Array(1 << 18);
  private poolNext: Int32Array = new Int32Array(1 << 18);
  private poolSize = 0;

  /** The index of a pair, which is made when it is new. */
  indexOf(left: number, right: number): number {
    const mask = this.slots.length - 1;
    let slot = hashPair(left, right) & mask;
    for (;;) {
      const pair = this.slots[slot];
      if (pair === -1) break;
      if (this.left[pair] === left && this.right[pair] === right) return pair;
      slot = (slot + 1) & mask;
    }
    if (this.size === this.left.length) this.growPairs();
    const pair = this.size++;
    this.left[pair] = left;
    this.right[pair] = right;
    this.count[pair] = 0;
    this.newest[pair] = -1;
    this.slots[slot] = pair;
    if (this.size * 2 > this.slots.length) this.rehash();
    return pair;
  }

  /** Counts `amount` occurrences in a word. */
  add(pair: number, amount: number, word: number): void {
    this.count[pair] += amount;
    const last = this.newest[pair];
    if (last >= 0 && this.poolWord[last] === word) return;
    if (this.poolSize === this.poolWord.length) {
      this.poolWord = grow(this.poolWord, int32);
      this.poolNext = grow(this.poolNext, int32);
    }
    this.poolWord[this.poolSize] = word;
    this.poolNext[this.poolSize] = last;
    this.newest[pair] = this.poolSize++;
  }

  /** The newest entry of the words in which a pair was seen, or -1; it may have gone from some since. */
  firstEntry(pair: number): number {
    return this.newest[pair];
  }

  /** The entry before, or -1. */
  nextEntry(entry: number): number {
    return this.poolNext[entry];
  }

  wordOf(entry: number): number {
    return this.poolWord[entry];
  }

  private growPairs(): void {
    this.left = grow(this.left, int32);
    this.right = grow(this.right, int32);
    this.newest = grow(this.newest, int32);
    this.count = grow(this.count, float64);
  }

  private rehash(): void {
    this.slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = this.slots.length - 1;
    for (let pair = 0; pair < this.size; pair++) {
      let slot = hashPair(this.left[pair], this.right[pair]) & mask;
      while (this.slots[slot] !== -1) slot = (slot + 1) & mask;
      this.slots[slot] = pair;
    }
  }
}
