import { WordHasher } from '../words.js';
import { minHash, SIGNATURE_LENGTH } from './min-hash.js';
import { SignatureTable } from './signature-table.js';
import { groupSimilar } from './similar-pairs.js';
import { TextHashes } from './text-hashes.js';

export interface DeduplicationOptions {
  /** Texts whose shingles have at least this Jaccard similarity are copies; 1 finds exact ones alone. Default 0.8. */
  readonly threshold?: number;
  /** Words per shingle; characters in Chinese. Default 5. */
  readonly shingle?: number;
}

/** What is to become of documents, by their position in the order in which they were added. */
export interface Duplicates {
  readonly documents: number;
  /** Copies letter by letter of an earlier document. */
  readonly exact: number;
  /** Others that are alike to an earlier document, at once or through documents between. */
  readonly near: number;
  /** Position of the document that is kept for this one: its own when it is kept itself. */
  originalOf(position: number): number;
  /** Whether an earlier document has the same text, letter by letter. */
  isExact(position: number): boolean;
}

/**
 * Finds copies in a stream of documents, exact and near. Keeps about 200 bytes a document and no text: the documents are
 * streamed twice, once to `add` them all, once to write those that `finish()` keeps. The first of a group of copies is
 * kept; the same documents in the same order always give the same result.
 */
export class Deduplicator {
  private readonly threshold: number;
  private readonly shingle: number;
  private readonly texts = new TextHashes();
  private readonly words = new WordHasher();
  private readonly signatures = new SignatureTable();
  private readonly signature = new Uint8Array(SIGNATURE_LENGTH);
  /** Position → index of its signature, or of that of the equal text before; the position itself where only exact copies count. */
  private readonly indices: number[] = [];
  private readonly positions: number[] = [];

  /** @throws RangeError for a threshold outside (0, 1] or shingles of no words */
  constructor({ threshold = 0.8, shingle = 5 }: DeduplicationOptions = {}) {
    if (!(threshold > 0 && threshold <= 1)) {
      throw new RangeError(
        `[Deduplicator] threshold out of range: got ${threshold}; expected above 0, to 1.`,
      );
    }
    if (!Number.isInteger(shingle) || shingle < 1) {
      throw new RangeError(`[Deduplicator] shingle out of range: got ${shingle}; expected words, 1 or more.`);
    }
    this.threshold = threshold;
    this.shingle = shingle;
  }

  add(text: string): void {
    const known = this.texts.findOrAdd(text, this.positions.length);
    this.indices.push(known ?? this.positions.length);
    if (known !== undefined) return;
    this.positions.push(this.indices.length - 1);
    if (this.threshold === 1) return;
    const words = this.words.hash(text);
    // Texts without words are like no other: their position stands for them.
    minHash(words.length > 0 ? words : Uint32Array.of(this.positions.length), this.shingle, this.signature);
    this.signatures.add(this.signature);
  }

  finish(): Duplicates {
    const { indices, positions } = this;
    const sets = groupSimilar(this.signatures, this.threshold);
    const near = this.signatures.length - sets.count();
    return {
      documents: indices.length,
      exact: indices.length - positions.length,
      near,
      isExact: (position) => positions[indices[position]] !== position,
      originalOf: (position) => {
        const index = indices[position];
        return positions[this.threshold === 1 ? index : sets.find(index)];
      },
    };
  }
}
