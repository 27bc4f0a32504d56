import { FirstReading } from './first-reading.js';
import { LaterReadings } from './later-readings.js';

export interface DeduplicationOptions {
  /** Texts whose runs of words have at least this Jaccard similarity are copies; 1 finds exact ones alone. Default 0.8. */
  readonly threshold?: number;
  /** Words in a run; characters in Chinese. Default 5. */
  readonly shingle?: number;
}

/** What is to become of documents, by their position in the order in which they were read. */
export interface Duplicates {
  readonly documents: number;
  /** Copies letter by letter of an earlier document. */
  readonly exact: number;
  /** Others that are alike to an earlier document, which is kept. */
  readonly near: number;
  /** Position of the document that is kept for this one: its own when it is kept itself. */
  originalOf(position: number): number;
  /** Whether an earlier document has the same text, letter by letter. */
  isExact(position: number): boolean;
}

/**
 * Finds copies in a stream of documents, exact and near. MinHash finds which texts may be alike; who is a copy is then
 * decided by all runs of words of both, so that nothing below the threshold is dropped. Keeps about 200 bytes a document and
 * of texts that may have copies 4 bytes a word, at most 64 MB at a time: documents are read once, once more where there may
 * be near copies, and again where these do not fit. The first of copies is kept; the same documents in the same order always
 * give the same result.
 * @param read begins to read all texts, always the same in the same order
 * @throws RangeError for a threshold outside (0, 1], runs of no words, or other texts at another reading
 */
export async function deduplicate(
  read: () => Iterable<string> | AsyncIterable<string>,
  { threshold = 0.8, shingle = 5 }: DeduplicationOptions = {},
): Promise<Duplicates> {
  if (!(threshold > 0 && threshold <= 1)) {
    throw new RangeError(`[deduplicate] threshold out of range: got ${threshold}; expected above 0, to 1.`);
  }
  if (!Number.isInteger(shingle) || shingle < 1) {
    throw new RangeError(`[deduplicate] shingle out of range: got ${shingle}; expected words, 1 or more.`);
  }
  const { texts, positions, groups } = await readFirst(read, threshold, shingle);
  const later = groups && new LaterReadings(groups, threshold, shingle);
  while (later?.isNeeded) {
    let position = 0;
    for await (const text of read()) {
      const number = texts[position];
      if (positions[number] === position) later.add(text, number);
      position++;
    }
    if (position !== texts.length) {
      throw new RangeError(
        `[deduplicate] the texts are others at another reading: got ${position}; expected ${texts.length}. ` +
          'Leave the files alone meanwhile.',
      );
    }
  }
  const originals = later?.originals;
  return {
    documents: texts.length,
    exact: texts.length - positions.length,
    near: originals?.reduce((count, original, text) => count + Number(original !== text), 0) ?? 0,
    isExact: (position) => positions[texts[position]] !== position,
    originalOf: (position) => {
      const text = texts[position];
      return positions[originals ? originals[text] : text];
    },
  };
}

/** In a function of its own, after which signatures are free. */
async function readFirst(
  read: () => Iterable<string> | AsyncIterable<string>,
  threshold: number,
  shingle: number,
) {
  const first = new FirstReading(threshold, shingle);
  for await (const text of read()) first.add(text);
  return { texts: first.texts, positions: first.positions, groups: threshold < 1 ? first.group() : null };
}
