import { codeAt } from './bit-streams.js';

/** How many whole codes a 32-bit word holds. */
const perWord = (bits: number): number => Math.floor(32 / bits);

/** Codes [rows, columns], one byte each → 32-bit words [rows, ⌈columns / codes per word⌉], lowest bits first. */
export function wordsOfRows(codes: Uint8Array, rows: number, columns: number, bits: number): Uint32Array {
  const width = Math.ceil(columns / perWord(bits));
  const words = new Uint32Array(rows * width);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      words[r * width + Math.floor(c / perWord(bits))] |=
        codes[r * columns + c] << ((c % perWord(bits)) * bits);
  return words;
}

/**
 * What {@link wordsOfRows} has written, or words without gaps: older files let codes lie across two words, where bits are
 * no divisor of 32.
 */
export function rowsOfWords(words: Uint32Array, rows: number, columns: number, bits: number): Uint8Array {
  const width = words.length / rows;
  const isDense = 32 % bits === 0 || width !== Math.ceil(columns / perWord(bits));
  const codes = new Uint8Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      codes[r * columns + c] = isDense
        ? codeAt((word) => words[r * width + word], c, bits)
        : (words[r * width + Math.floor(c / perWord(bits))] >>> ((c % perWord(bits)) * bits)) &
          (2 ** bits - 1);
  return codes;
}
