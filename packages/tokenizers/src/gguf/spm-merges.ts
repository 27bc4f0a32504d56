import type { Merges } from '../definition.js';
import type { Vocabulary } from '../vocabulary.js';
import { TOKEN_TYPE } from './metadata.js';

/**
 * Merges of a SentencePiece BPE vocabulary, which has scores instead: two pieces merge if together they are a piece, the
 * one with the highest score first. Ways to make the same piece are ordered as transformers orders them: the longer left
 * part first.
 */
export function mergesFromScores(
  vocabulary: Vocabulary,
  scores: ArrayLike<number>,
  types: ArrayLike<number> | undefined,
): Merges {
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
  return Int32Array.from(merges.flatMap(({ left, right }) => [left, right]));
}

interface Merge {
  readonly left: number;
  readonly right: number;
  readonly score: number;
  /** Length of the left part. */
  readonly cut: number;
}
