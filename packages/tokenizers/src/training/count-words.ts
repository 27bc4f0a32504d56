import { ownCopy } from '../model/word-cache.js';
import { compilePattern, type PretokenizerName, WORD_PATTERNS } from '../text/patterns.js';
import { createIsolate } from '../text/split.js';

export interface WordCounts {
  readonly words: Map<string, number>;
  readonly documents: number;
  readonly characters: number;
}

/** Cuts texts into words and counts each distinct one. */
export function countWords(
  texts: Iterable<string>,
  pretokenizer: PretokenizerName,
  onDocument: (documents: number, characters: number) => void,
): WordCounts {
  const cut = createIsolate(compilePattern(WORD_PATTERNS[pretokenizer]));
  const words = new Map<string, number>();
  let documents = 0;
  let characters = 0;
  const count = (word: string): void => {
    const known = words.get(word);
    words.set(known === undefined ? ownCopy(word) : word, (known ?? 0) + 1);
  };
  for (const text of texts) {
    cut(text.toWellFormed(), count);
    documents++;
    characters += text.length;
    onDocument(documents, characters);
  }
  return { words, documents, characters };
}
