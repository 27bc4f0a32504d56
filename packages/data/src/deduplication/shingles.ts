import { mixBits, WordHasher } from '../words.js';

const BASE = 0x01000193;

/** Hashes the runs of words of texts (of characters in Chinese). */
export class TextShingles {
  private readonly words = new WordHasher();
  private hashes = new Uint32Array(1024);

  /** @param size words in a run */
  constructor(private readonly size: number) {}

  /**
   * 32 bits per run, in the order of the text, repetitions included: a view that the next call overwrites. About n² / 2³³ of
   * the pairs of n different runs have the same bits. A text with fewer words than a run is one.
   * @param number stands for a text without words, which is like no other
   */
  of(text: string, number: number): Uint32Array {
    const words = this.words.hash(text);
    return this.roll(words.length > 0 ? words : Uint32Array.of(number + 1));
  }

  private roll(words: Uint32Array): Uint32Array {
    const length = Math.min(this.size, words.length);
    const count = words.length - length + 1;
    if (count > this.hashes.length) this.hashes = new Uint32Array(2 ** Math.ceil(Math.log2(count)));
    const { hashes } = this;
    let leaving = 1; // BASE ** length
    for (let i = 0; i < length; i++) leaving = Math.imul(leaving, BASE);
    let rolling = 0;
    for (let i = 0; i < words.length; i++) {
      rolling = (Math.imul(rolling, BASE) + words[i]) | 0;
      if (i >= length) rolling = (rolling - Math.imul(leaving, words[i - length])) | 0;
      if (i >= length - 1) hashes[i - length + 1] = mixBits(rolling);
    }
    return hashes.subarray(0, count);
  }
}

/** The same hashes as a set: ascending, each once, in memory of its own. Sorts those given. */
export function setOf(hashes: Uint32Array): Uint32Array {
  const sorted = hashes.sort();
  let size = 0;
  for (let i = 0; i < sorted.length; i++)
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[size++] = sorted[i];
  return sorted.slice(0, size);
}

/** Jaccard similarity of two sets: shared elements over all. */
export function jaccard(a: Uint32Array, b: Uint32Array): number {
  let shared = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [left, right] = [a[i], b[j]];
    if (left === right) shared++;
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return shared / (a.length + b.length - shared);
}
