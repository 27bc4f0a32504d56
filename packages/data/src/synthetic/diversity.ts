import { mixBits, WordHasher } from '../words.js';

/**
 * Different pairs of words (of characters in Chinese) as a share of all pairs in the texts (distinct-2, Li et al. 2016,
 * arXiv:1510.03055), over the first `limit` pairs so that more text does not lower it by itself. 1 for texts without pairs.
 */
export function distinctPairs(texts: Iterable<string>, limit = 20_000): number {
  const words = new WordHasher();
  const seen = new Set<number>();
  let count = 0;
  for (const text of texts) {
    const hashes = words.hash(text);
    for (let i = 1; i < hashes.length; i++) {
      if (count === limit) return seen.size / count;
      seen.add(mixBits(Math.imul(hashes[i - 1], 0x9e3779b1) ^ hashes[i]));
      count++;
    }
  }
  return count === 0 ? 1 : seen.size / count;
}
