import type { IdBuffer } from './id-buffer.js';

/** Turns words into ids. */
export interface WordModel {
  /** Appends the ids of one word. */
  encodeWord(word: string, ids: IdBuffer): void;
}

/** The name of a byte's token where unknown characters are written as bytes: `<0x0A>`. */
export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** The byte that a token such as `<0x0A>` stands for, or -1. */
export function byteOfToken(token: string): number {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : -1;
}
