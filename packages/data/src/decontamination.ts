import { mixBits, WordHasher } from './words.js';

/** A text of an evaluation set, with the name by which reports call it. */
export interface EvaluationItem {
  readonly id: string;
  readonly text: string;
}

export interface DecontaminationOptions {
  /** Words in a row that give a text away; characters in Chinese. Default 13 (Brown et al. 2020, appendix C). */
  readonly length?: number;
  /** Items shorter than `length` count as a whole from so many words on. Default 8. */
  readonly least?: number;
}

const FILTER_BITS = 24;
const BASES = [0x01000193, 0x85ebca6b] as const;

/** Finds texts that share a run of words with an evaluation set: a model trained on them would know the answers. */
export class ContaminationIndex {
  /** Per length of runs: hash → number of the item. */
  private readonly runs = new Map<number, Map<number, number>>();
  /** One bit per hash, so that nearly all runs of clean text are settled by one look. */
  private readonly filter = new Uint8Array(2 ** (FILTER_BITS - 3));
  private readonly words = new WordHasher();
  private readonly ids: string[] = [];
  /** Items with too few words to be looked for. */
  readonly tooShort: string[] = [];

  /** @throws RangeError for lengths that are none */
  constructor(items: Iterable<EvaluationItem>, { length = 13, least = 8 }: DecontaminationOptions = {}) {
    if (!(Number.isInteger(length) && Number.isInteger(least) && least >= 1 && length >= least)) {
      const got = `length ${length}, least ${least}`;
      throw new RangeError(`[ContaminationIndex] got ${got}; expected words, 1 ≤ least ≤ length.`);
    }
    for (const { id, text } of items) {
      const words = this.words.hash(text);
      if (words.length < least) this.tooShort.push(id);
      else this.learn(words, Math.min(length, words.length), this.ids.push(id) - 1);
    }
  }

  /** Items that can be found. */
  get size(): number {
    return this.ids.length;
  }

  /** The id of an item that shares a run with `text`; undefined for clean text. */
  find(text: string): string | undefined {
    const words = this.words.hash(text);
    for (const [length, known] of this.runs) {
      let found: number | undefined;
      forEachRun(words, length, (high, low) => {
        if (this.filter[high >>> (35 - FILTER_BITS)] & (1 << ((high >>> (32 - FILTER_BITS)) & 7))) {
          found = known.get(keyOf(high, low));
        }
        return found !== undefined;
      });
      if (found !== undefined) return this.ids[found];
    }
    return undefined;
  }

  private learn(words: Uint32Array, length: number, item: number): void {
    const known = this.runs.get(length) ?? new Map<number, number>();
    this.runs.set(length, known);
    forEachRun(words, length, (high, low) => {
      this.filter[high >>> (35 - FILTER_BITS)] |= 1 << ((high >>> (32 - FILTER_BITS)) & 7);
      const key = keyOf(high, low);
      if (!known.has(key)) known.set(key, item);
      return false;
    });
  }
}

/** 52 bits of two hashes. */
function keyOf(high: number, low: number): number {
  return high * 2 ** 20 + (low >>> 12);
}

/** Calls `visit` with two independent hashes of each run of `length` words, until it says true. */
function forEachRun(words: Uint32Array, length: number, visit: (high: number, low: number) => boolean): void {
  const [leavingHigh, leavingLow] = BASES.map((base) => power(base, length));
  let [high, low] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    high = (Math.imul(high, BASES[0]) + words[i]) | 0;
    low = (Math.imul(low, BASES[1]) + words[i]) | 0;
    if (i >= length) {
      high = (high - Math.imul(leavingHigh, words[i - length])) | 0;
      low = (low - Math.imul(leavingLow, words[i - length])) | 0;
    }
    if (i >= length - 1 && visit(mixBits(high), mixBits(low))) return;
  }
}

/** base ** exponent modulo 2³². */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = Math.imul(result, base);
  return result;
}
