import type { Vocabulary } from '../vocabulary.js';

const MARK = '▁';

/**
 * Cuts marked text ("▁Hello▁world") where no token reaches across, so that no merge can: the parts get the same ids as
 * the whole, and short words that return are found in the cache. Models of SentencePiece see a whole text as one word.
 */
export class MarkCutter {
  /** Code units that some token has right before a mark. */
  private readonly joining = new Set<number>();

  constructor(vocabulary: Vocabulary) {
    for (const [, token] of vocabulary.entries()) {
      for (let at = token.indexOf(MARK, 1); at > 0; at = token.indexOf(MARK, at + 1)) {
        this.joining.add(token.charCodeAt(at - 1));
      }
    }
  }

  forEachPart(word: string, visit: (part: string) => void): void {
    let start = 0;
    for (let at = word.indexOf(MARK, 1); at > 0; at = word.indexOf(MARK, at + 1)) {
      if (this.joining.has(word.charCodeAt(at - 1))) continue;
      visit(word.slice(start, at));
      start = at;
    }
    visit(start === 0 ? word : word.slice(start));
  }
}
