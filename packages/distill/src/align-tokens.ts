import type { TrainBatch } from '@frugal/tensor-core/nn';

/** What is needed of a tokenizer. */
export interface TextTokenizer {
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
  encode(
    text: string,
    options?: { readonly addSpecialTokens?: boolean; readonly parseSpecialTokens?: boolean },
  ): Int32Array;
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
}

/** The same text in the tokens of another tokenizer. */
export interface AlignedTokens {
  readonly ids: Int32Array;
  /** Rows of both sides that end at the same byte of the text: what is predicted there is about the same. */
  readonly ours: Int32Array;
  readonly theirs: Int32Array;
}

/**
 * Reads a sequence of one tokenizer with another one. Special tokens begin or separate
 * texts, which are aligned byte by byte; parts of characters at the ends, and pieces that the other tokenizer changes, have no counterparts.
 */
export function alignTokens(sequence: Int32Array, own: TextTokenizer, other: TextTokenizer): AlignedTokens {
  const startsText = sequence.length > 0 && !own.isSpecial(sequence[0]);
  const ids: number[] = startsText && other.bosId !== undefined ? [other.bosId] : [];
  const pairs: [number, number][] = [];
  for (const { start, end, isSpecial } of pieces(sequence, own)) {
    if (isSpecial) {
      const [separator = other.bosId] = other.eosIds;
      const id = start === 0 ? (other.bosId ?? separator) : separator;
      if (id === undefined) continue;
      pairs.push([start, ids.length]);
      ids.push(id);
      continue;
    }
    const piece = sequence.subarray(start, end);
    const { text, before } = wholeCharacters(bytesOf(piece, own));
    const encoded = other.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
    const theirEnds = endsOf(encoded, other, text);
    const rowAt = new Map(theirEnds.map((byte, row) => [byte + before, ids.length + row]));
    let byte = 0;
    for (const [i, id] of piece.entries()) {
      byte += own.tokenBytes(id).length;
      const row = rowAt.get(byte);
      if (row !== undefined) pairs.push([start + i, row]);
    }
    ids.push(...encoded);
  }
  return {
    ids: Int32Array.from(ids),
    ours: Int32Array.from(pairs, ([row]) => row),
    theirs: Int32Array.from(pairs, ([, row]) => row),
  };
}

/** A batch with the teacher's tokens and the rows that belong together; without any, null. */
export function alignBatch(batch: TrainBatch, own: TextTokenizer, other: TextTokenizer): TrainBatch | null {
  const [ours, theirs]: [number[], number[]] = [[], []];
  const teacher: Int32Array[] = [];
  let [ownRow, theirRow] = [0, 0];
  for (const sequence of batch.sequences) {
    const aligned = alignTokens(sequence, own, other);
    for (const row of aligned.ours) ours.push(ownRow + row);
    for (const row of aligned.theirs) theirs.push(theirRow + row);
    ownRow += sequence.length;
    theirRow += aligned.ids.length;
    teacher.push(aligned.ids);
  }
  if (ours.length === 0) return null;
  return {
    ...batch,
    teacher,
    rowPairs: { student: Int32Array.from(ours), teacher: Int32Array.from(theirs) },
  };
}

/** Runs of ordinary tokens, and special tokens one by one. */
function* pieces(sequence: Int32Array, tokenizer: TextTokenizer) {
  let start = 0;
  for (let i = 0; i <= sequence.length; i++) {
    const isSpecial = i < sequence.length && tokenizer.isSpecial(sequence[i]);
    if (i < sequence.length && !isSpecial) continue;
    if (i > start) yield { start, end: i, isSpecial: false };
    if (isSpecial) yield { start: i, end: i + 1, isSpecial: true };
    start = i + 1;
  }
}

function bytesOf(ids: Int32Array, tokenizer: TextTokenizer): Uint8Array {
  return Buffer.concat([...ids].map((id) => tokenizer.tokenBytes(id)));
}

/** Text without what is left of characters that the ends cut, and how many bytes were left out before it. */
function wholeCharacters(bytes: Uint8Array): { readonly text: string; readonly before: number } {
  let before = 0;
  while (before < Math.min(3, bytes.length) && (bytes[before] & 0xc0) === 0x80) before++;
  for (let end = bytes.length; end >= Math.max(before, bytes.length - 3); end--) {
    try {
      return {
        text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(before, end)),
        before,
      };
    } catch {} // a character is cut: leave out its bytes
  }
  return { text: '', before };
}

/** Where each token ends in the text, in bytes; none when the tokens do not spell it. */
function endsOf(ids: Int32Array, tokenizer: TextTokenizer, text: string): number[] {
  const spelled = bytesOf(ids, tokenizer);
  const wanted = Buffer.from(text);
  const added = spelled.length - wanted.length; // a space before the first word (SentencePiece)
  const isSame =
    (added === 0 || (added === 1 && spelled[0] === 0x20)) && wanted.equals(spelled.subarray(added));
  if (!isSame) return [];
  let byte = -added;
  return [...ids].map((id) => {
    byte += tokenizer.tokenBytes(id).length;
    return byte;
  });
}
