import { Merger, makeCorpus } from './corpus.js';
import { PairQueue } from './pair-queue.js';
import { PairStatistics } from './pair-statistics.js';

export interface LearnOptions {
  /** Id of each byte. */
  readonly byteIds: Int32Array;
  /** The tokens so far, in the byte alphabet, by id. Learned tokens are added. */
  readonly tokens: string[];
  readonly vocabularySize: number;
  readonly minFrequency: number;
  readonly onMerge: (vocabularySize: number) => void;
}

/**
 * Learns merges by byte-pair encoding (Sennrich et al., 2016): merges the most frequent pair again and again. Only the
 * words that hold the pair are touched. Returns `[left₀, right₀, left₁, right₁, …]`.
 */
export function learnMerges(words: ReadonlyMap<string, number>, options: LearnOptions): Int32Array {
  const { tokens, vocabularySize, minFrequency, onMerge } = options;
  const corpus = makeCorpus(words, options.byteIds);
  const statistics = new PairStatistics();
  const merger = new Merger(corpus, statistics);
  merger.countPairs();
  const queue = new PairQueue(statistics);
  for (let pair = 0; pair < statistics.size; pair++) queue.push(pair);

  const idOfToken = new Map(tokens.map((token, id) => [token, id]));
  const merges: number[] = [];
  while (tokens.length < vocabularySize) {
    const pair = queue.pop();
    if (pair < 0 || statistics.count[pair] < minFrequency) break;
    const [left, right] = [statistics.left[pair], statistics.right[pair]];
    const token = tokens[left] + tokens[right];
    // Two pairs can make the same token ("a" + "aa", "aa" + "a"): it keeps its first id.
    let id = idOfToken.get(token);
    if (id === undefined) {
      id = tokens.push(token) - 1;
      idOfToken.set(token, id);
    }
    merges.push(left, right);
    for (const risen of merger.merge(pair, id)) queue.push(risen);
    onMerge(tokens.length);
  }
  return Int32Array.from(merges);
}
