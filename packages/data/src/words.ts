/** What a UTF-16 code unit is to the scanner; the code unit itself, folded, lies in the lower 16 bits. */
const BETWEEN = 0;
const LETTER = 1 << 16;
const WHOLE_WORD = 2 << 16;

/** Scripts written without spaces: each of their characters counts as a word. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Cs}]/u;
const WORD = /[\p{L}\p{N}\p{M}]/u;
const FULL_WIDTH_OFFSET = 0xfee0;

let kinds: Int32Array | undefined;

/** One entry per code unit: letter case and the full-width forms of ASCII are folded, so that look-alikes are alike. */
function kindTable(): Int32Array {
  if (kinds) return kinds;
  const table = new Int32Array(2 ** 16);
  for (let unit = 0; unit < table.length; unit++) {
    const narrow = unit >= 0xff01 && unit <= 0xff5e ? unit - FULL_WIDTH_OFFSET : unit;
    const character = String.fromCharCode(narrow);
    if (UNSPACED.test(character)) table[unit] = WHOLE_WORD | unit;
    else if (WORD.test(character)) table[unit] = LETTER | character.toLowerCase().charCodeAt(0);
  }
  kinds = table;
  return table;
}

/** The finalizer of MurmurHash3: every bit of `hash` reaches every bit of the result. */
export function mixBits(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * Turns texts into hashes of their words. Words are runs of letters and digits, whatever their case and whatever
 * stands between them; in scripts without spaces, such as Chinese, each character is a word.
 */
export class WordHasher {
  private hashes = new Uint32Array(1024);
  private count = 0;

  /** 32-bit hashes, one per word: a view that the next call overwrites. */
  hash(text: string): Uint32Array {
    const table = kindTable();
    this.count = 0;
    let word = 0;
    for (let i = 0; i < text.length; i++) {
      const kind = table[text.charCodeAt(i)];
      if (kind >= LETTER && kind < WHOLE_WORD) {
        word = Math.imul(word ^ kind, 0x9e3779b1) ^ (word >>> 15);
        continue;
      }
      if (word !== 0) this.push(word);
      word = 0;
      if (kind !== BETWEEN) this.push(kind);
    }
    if (word !== 0) this.push(word);
    return this.hashes.subarray(0, this.count);
  }

  private push(word: number): void {
    if (this.count === this.hashes.length) {
      const larger = new Uint32Array(this.hashes.length * 2);
      larger.set(this.hashes);
      this.hashes = larger;
    }
    this.hashes[this.count++] = mixBits(word);
  }
}
