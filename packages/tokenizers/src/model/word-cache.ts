import type { IdBuffer } from './id-buffer.js';

const MAX_WORDS = 2 ** 16;
const POOL_IDS = 2 ** 19;
/** More ids than a cached word can have (64 characters of up to 3 bytes). */
const MAX_IDS = 256;

/** Ids of words seen lately, in one array: an array per word costs ten times its ids. When full it starts anew. */
export class WordCache {
  private readonly places = new Map<string, number>();
  private pool = new Int32Array(1024);
  private used = 0;

  /** Appends the ids of a known word to `ids`; false for a word that is not known. */
  append(word: string, ids: IdBuffer): boolean {
    const place = this.places.get(word);
    if (place === undefined) return false;
    ids.append(this.pool, Math.floor(place / MAX_IDS), place % MAX_IDS);
    return true;
  }

  set(word: string, ids: Int32Array, count: number): void {
    if (count >= MAX_IDS) return;
    if (this.places.size >= MAX_WORDS || this.used + count > POOL_IDS) {
      this.places.clear();
      this.used = 0;
    }
    if (this.used + count > this.pool.length) {
      const larger = new Int32Array(Math.min(POOL_IDS, this.pool.length * 2));
      larger.set(this.pool);
      this.pool = larger;
    }
    for (let i = 0; i < count; i++) this.pool[this.used + i] = ids[i];
    this.places.set(ownCopy(word), this.used * MAX_IDS + count);
    this.used += count;
  }
}

/** A string of its own memory: a slice of a long text keeps the text alive. V8 slices from 13 characters on. */
export const ownCopy = (text: string): string => (text.length < 13 ? text : ` ${text}`.slice(1));
