import type { Vocabulary } from '../vocabulary.js';
import { TOKEN_TYPE } from './metadata.js';

export interface SpmMerges {
  readonly merges: Int32Array;
  readonly ranks: Int32Array;
}

/**
 * Merges of a SentencePiece BPE vocabulary, which has scores instead: two pieces merge if together they are a piece, the
 * one with the highest score first. Ordered as transformers orders them; ways to make pieces of one score share a rank,
 * so that of those the leftmost is merged, as SentencePiece does.
 */
export function mergesFromScores(
  vocabulary: Vocabulary,
  scores: ArrayLike<number>,
  types: ArrayLike<number> | undefined,
): SpmMerges {
  const merges: Merge[] = [];
  const isPiece = (id: number): boolean =>
    types === undefined || types[id] === TOKEN_TYPE.normal || types[id] === TOKEN_TYPE.userDefined;
  for (const [id, piece] of vocabulary.entries()) {
    if (!isPiece(id)) continue;
    for (let cut = 1; cut < piece.length; cut++) {
      const left = vocabulary.idOf(piece.slice(0, cut));
      if (left === undefined || !isPiece(left)) continue;
      const right = vocabulary.idOf(piece.slice(cut));
      if (right === undefined || !isPiece(right)) continue;
      merges.push({ left, right, score: scores[id], cut });
    }
  }
  merges.sort((a, b) => b.score - a.score || b.cut - a.cut);
  const ranks = new Int32Array(merges.length);
  for (let i = 1; i < merges.length; i++)
    ranks[i] = ranks[i - 1] + (merges[i].score === merges[i - 1].score ? 0 : 1);
  return { merges: Int32Array.from(merges.flatMap(({ left, right }) => [left, right])), ranks };
}

interface Merge {
  readonly left: number;
  readonly right: number;
  readonly score: number;
  /** Length of the left part. */
  readonly cut: number;
}
