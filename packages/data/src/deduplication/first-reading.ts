import type { DisjointSets } from './disjoint-sets.js';
import { minHash, SIGNATURE_LENGTH } from './min-hash.js';
import { TextShingles } from './shingles.js';
import { SignatureTable } from './signature-table.js';
import { groupSimilar } from './similar-pairs.js';
import { TextHashes } from './text-hashes.js';

/** Numbers the different texts of a stream, and signs each. */
export class FirstReading {
  /** Position → number of its text. */
  readonly texts: number[] = [];
  /** Number of a text → its first position. */
  readonly positions: number[] = [];
  private readonly known = new TextHashes();
  private readonly signatures = new SignatureTable();
  private readonly signature = new Uint8Array(SIGNATURE_LENGTH);
  private readonly shingles: TextShingles;

  /** @param threshold 1: nothing is signed, since only equal texts count */
  constructor(
    private readonly threshold: number,
    shingle: number,
  ) {
    this.shingles = new TextShingles(shingle);
  }

  add(text: string): void {
    const number = this.positions.length;
    const known = this.known.findOrAdd(text, number);
    this.texts.push(known ?? number);
    if (known !== undefined) return;
    this.positions.push(this.texts.length - 1);
    if (this.threshold === 1) return;
    minHash(this.shingles.of(text, number), this.signature);
    this.signatures.add(this.signature);
  }

  /** Numbers of texts that may be alike. */
  group(): DisjointSets {
    return groupSimilar(this.signatures, this.threshold);
  }
}
