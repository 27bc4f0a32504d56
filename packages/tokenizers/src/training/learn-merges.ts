import { utf8Bytes } from '../text/utf8.js';
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

/** All distinct words as symbols, one after another. */
interface Corpus {
  readonly symbols: Int32Array;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly counts: Float64Array;
}

/**
 * Learns merges by byte-pair encoding (Sennrich et al., 2016): merges the most frequent pair again and again. Only the
 * words that hold the pair are touched. Returns `[left₀, right₀, left₁, right₁, …]`.
 */
export function learnMerges(words: ReadonlyMap<string, number>, options: LearnOptions): Int32Array {
  const { tokens, vocabularySize, minFrequency, onMerge } = options;
  const corpus = makeCorpus(words, options.byteIds);
  const statistics = new PairStatistics();
  countPairs(corpus, statistics);
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
    for (const changed of mergePair(corpus, statistics, pair, id)) queue.push(changed);
    onMerge(tokens.length);
  }
  return Int32Array.from(merges);
}

function makeCorpus(words: ReadonlyMap<string, number>, byteIds: Int32Array): Corpus {
  const starts = new Int32Array(words.size);
  const lengths = new Int32Array(words.size);
  const counts = new Float64Array(words.size);
  let symbols = new Int32Array(Math.max(1024, words.size * 8));
  let word = 0;
  let at = 0;
  for (const [text, count] of words) {
    const bytes = utf8Bytes(text);
    if (at + bytes.length > symbols.length) {
      const larger = new Int32Array((at + bytes.length) * 2);
      larger.set(symbols);
      symbols = larger;
    }
    starts[word] = at;
    lengths[word] = bytes.length;
    counts[word] = count;
    for (const byte of bytes) symbols[at++] = byteIds[byte];
    word++;
  }
  return { symbols, starts, lengths, counts };
}

function countPairs({ symbols, starts, lengths, counts }: Corpus, statistics: PairStatistics): void {
  for (let word = 0; word < starts.length; word++) {
    const end = starts[word] + lengths[word] - 1;
    for (let i = starts[word]; i < end; i++) {
      statistics.add(statistics.indexOf(symbols[i], symbols[i + 1]), counts[word], word);
    }
  }
}

/** Puts `merged` wherever the pair stands. Returns the pairs whose counts rose. */
function mergePair(corpus: Corpus, statistics: PairStatistics, pair: number, merged: number): Set<number> {
  const { symbols, starts, lengths, counts } = corpus;
  const [left, right] = [statistics.left[pair], statistics.right[pair]];
  const risen = new Set<number>();
  statistics.forEachWord(pair, (word) => {
    const start = starts[word];
    const end = start + lengths[word];
    const count = counts[word];
    const add = (a: number, b: number): void => {
      const index = statistics.indexOf(a, b);
      statistics.add(index, count, word);
      risen.add(index);
    };
    const remove = (a: number, b: number): void => {
      statistics.count[statistics.indexOf(a, b)] -= count;
    };
    let to = start;
    for (let from = start; from < end; ) {
      if (symbols[from] !== left || from + 1 >= end || symbols[from + 1] !== right) {
        symbols[to++] = symbols[from++];
        continue;
      }
      from += 2;
      if (to > start) {
        remove(symbols[to - 1], left);
        add(symbols[to - 1], merged);
      }
      symbols[to++] = merged;
      if (from < end) {
        remove(right, symbols[from]);
        add(merged, symbols[from]);
      }
    }
    lengths[word] = to - start;
  });
  statistics.count[pair] = 0;
  risen.delete(pair);
  return risen;
}
