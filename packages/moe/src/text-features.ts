/** A sparse vector of length one: positions in ascending order, and values. */
export interface TextFeatures {
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

const LONGEST_GRAM = 4;
/** What a model says of a text shows at its beginning; the rest costs time. */
const CHARACTERS = 2000;

/**
 * Hashed n-grams of characters, 1 to 4 long (Weinberger et al. 2009, arXiv:0902.2206): log(1 + count) per bucket, scaled to
 * length one. Needs no tokenizer, so it serves models that share nothing.
 */
export function textFeatures(text: string, buckets: number): TextFeatures {
  const characters = [...text.slice(0, CHARACTERS)].map((character) => character.codePointAt(0) as number);
  const counts = new Map<number, number>();
  for (let start = 0; start < characters.length; start++) {
    let hash = 0x811c9dc5;
    for (let i = start; i < Math.min(characters.length, start + LONGEST_GRAM); i++) {
      hash = Math.imul(hash ^ characters[i], 0x01000193);
      hash ^= hash >>> 15;
      const bucket = (hash >>> 0) % buckets;
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
  }
  const indices = Int32Array.from(counts.keys()).sort();
  const values = Float32Array.from(indices, (index) => Math.log1p(counts.get(index) as number));
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
  return { indices, values: values.map((value) => value / length) };
}
