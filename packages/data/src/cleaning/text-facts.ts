import { mixBits } from '../words.js';

/** What rules ask about a text, each computed once and only when asked. */
export class TextFacts {
  private knownLines: readonly string[] | undefined;
  private knownWords: readonly string[] | undefined;
  private knownIds: Int32Array | undefined;

  /** @param kind what counts as a word: what stands between spaces, or each Han character and each run of other letters */
  constructor(
    readonly text: string,
    private readonly kind: 'spaced' | 'Chinese',
  ) {}

  /** Lines that are not empty, trimmed. */
  get lines(): readonly string[] {
    this.knownLines ??= this.text.split('\n').flatMap((line) => line.trim() || []);
    return this.knownLines;
  }

  get words(): readonly string[] {
    const pattern = this.kind === 'spaced' ? /\S+/g : /\p{Script=Han}|[^\p{Script=Han}\s\p{P}\p{S}]+/gu;
    this.knownWords ??= this.text.match(pattern) ?? [];
    return this.knownWords;
  }

  /** Share of lines, or of anything with a length, for which `isSo`; 0 of nothing. */
  share<T>(values: readonly T[], isSo: (value: T) => boolean): number {
    return values.length === 0 ? 0 : values.filter(isSo).length / values.length;
  }

  /** Share of characters in lines that stood before, letter by letter. */
  get repeatedLineShare(): number {
    const seen = new Set<string>();
    let repeated = 0;
    for (const line of this.lines) {
      if (seen.has(line)) repeated += line.length;
      seen.add(line);
    }
    return repeated / Math.max(1, this.text.length);
  }

  /** Share of characters in the run of `size` words that is the most frequent, where it stands more than once. */
  topRunShare(size: number): number {
    const counts = new Map<number, { count: number; length: number }>();
    let top = 0;
    this.forEachRun(size, (hash, length) => {
      const run = counts.get(hash) ?? { count: 0, length };
      counts.set(hash, run);
      run.count++;
      if (run.count > 1) top = Math.max(top, run.count * run.length);
      return 1;
    });
    return Math.min(1, top / Math.max(1, this.text.length));
  }

  /** Share of characters in runs of `size` words that stood before; runs that overlap are counted once. */
  repeatedRunShare(size: number): number {
    const seen = new Set<number>();
    let repeated = 0;
    this.forEachRun(size, (hash, length) => {
      if (!seen.has(hash)) {
        seen.add(hash);
        return 1;
      }
      repeated += length;
      return size;
    });
    return repeated / Math.max(1, this.text.length);
  }

  /** Calls `visit` with the hash and the characters of a run; it says how many words to go on. */
  private forEachRun(size: number, visit: (hash: number, length: number) => number): void {
    const { words, ids } = this;
    for (let start = 0; start + size <= words.length; ) {
      let [hash, length] = [0, 0];
      for (let i = start; i < start + size; i++) {
        hash = mixBits(Math.imul(hash, 31) + ids[i]);
        length += words[i].length;
      }
      start += visit(hash, length);
    }
  }

  private get ids(): Int32Array {
    if (this.knownIds) return this.knownIds;
    const numbers = new Map<string, number>();
    this.knownIds = Int32Array.from(this.words, (word) => {
      const id = numbers.get(word) ?? numbers.size + 1;
      numbers.set(word, id);
      return id;
    });
    return this.knownIds;
  }
}
