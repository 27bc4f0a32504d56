import { compilePattern, type PretokenizerName, WORD_PATTERNS } from '../text/patterns.js';
import { createIsolate } from '../text/split.js';

/** From this length on, V8 makes a substring a view of its text. */
const SLICED_LENGTH = 13;

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
    if (known !== undefined) words.set(word, known + 1);
    // A slice would keep its whole text alive.
    else words.set(word.length < SLICED_LENGTH ? word : ` ${word}`.slice(1), 1);
  };
  for (const text of texts) {
    cut(text.toWellFormed(), count);
    documents++;
    characters += text.length;
    onDocument(documents, characters);
  }
  return { words, documents, characters };
}
