import { createHash } from 'node:crypto';

/** A text with a stable name. Whatever a source yields, these travel through cleaning, splitting and packing. */
export interface Document {
  /** Unique in its collection, e.g. the path and line of its source. */
  readonly id: string;
  readonly text: string;
  /** Groups documents in reports: a language, a domain. */
  readonly label?: string;
}

/** The first 52 bits of the SHA-256 of a text, as a number in [0, 1): the same on every machine and run. */
export function textFraction(text: string): number {
  const digest = createHash('sha256').update(text).digest();
  return (digest.readUIntBE(0, 6) * 16 + (digest[6] >>> 4)) / 2 ** 52;
}

export interface Split {
  readonly train: readonly Document[];
  readonly heldOut: readonly Document[];
}

/**
 * Holds out about `fraction` of the documents of each label, chosen by the hash of their text: adding documents
 * later never moves old ones between the sides, and copies of one text land on the same side.
 * @throws RangeError for a fraction that is none
 */
export function splitByHash(documents: Iterable<Document>, fraction: number): Split {
  if (!(fraction >= 0 && fraction <= 1)) {
    throw new RangeError(`[splitByHash] fraction out of range: got ${fraction}; expected 0 to 1.`);
  }
  const train: Document[] = [];
  const heldOut: Document[] = [];
  for (const document of documents) (textFraction(document.text) < fraction ? heldOut : train).push(document);
  return { train, heldOut };
}
