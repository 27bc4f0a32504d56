import { DataError } from '../errors.js';

/** How text is read that is not quite right. */
export interface DecodingOptions {
  /** Put U+FFFD where bytes are no UTF-8 and where half a character stands alone, instead of refusing them. */
  readonly repair?: boolean;
}

/**
 * Bytes as text. @throws DataError for what is no UTF-8 and for more than a string can hold, with the encoding that it looks
 * like
 */
export function decodeText(
  bytes: Uint8Array,
  file: string,
  { repair = false }: DecodingOptions = {},
): string {
  try {
    return new TextDecoder('utf-8', { fatal: !repair, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA')
      throw new DataError({
        file,
        what: 'more text than fits into a string',
        got: `${bytes.length} bytes`,
        expected: 'at most 512 MB in one document',
        hint: 'Split it, or write it as .jsonl with one document per line.',
        cause,
      });
    const offset = firstBadByte(bytes);
    throw new DataError({
      file,
      what: 'not UTF-8 text',
      got: `byte 0x${bytes[offset].toString(16)}${looksLike(bytes)}`,
      offset,
      hint: 'Convert it first, for example with iconv; or put U+FFFD for what is wrong: frugal data clean --repair.',
      cause,
    });
  }
}

/** Where the first byte is that belongs to no character. */
function firstBadByte(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes[at]);
    if (length > 1) {
      try {
        decoder.decode(bytes.subarray(at, at + length));
      } catch {
        return at;
      }
    } else if (length === 0) return at;
    at += length;
  }
  return bytes.length - 1;
}

/** Bytes of the character that starts with this one; 0: none does. */
function characterLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

const MARKS: readonly (readonly [string, readonly number[]])[] = [
  ['UTF-16 LE', [0xff, 0xfe]],
  ['UTF-16 BE', [0xfe, 0xff]],
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['a zip archive', [0x50, 0x4b, 0x03, 0x04]],
  ['Parquet', [0x50, 0x41, 0x52, 0x31]],
];

/** What the first bytes give away, as the end of a sentence. */
function looksLike(bytes: Uint8Array): string {
  const mark = MARKS.find(([, start]) => start.every((byte, i) => bytes[i] === byte));
  return mark ? `, which looks like ${mark[0]}` : '';
}

/**
 * The text itself, or with U+FFFD for halves of characters that JSON spelled out (`"\\ud83d"`): they cannot be written as
 * UTF-8. @throws DataError for them without `repair`
 */
export function wellFormed(text: string, file: string, { repair = false }: DecodingOptions = {}): string {
  const at = text.search(LONE);
  if (at < 0) return text;
  if (repair) return text.replace(new RegExp(LONE, 'gu'), '\uFFFD');
  throw new DataError({
    file,
    what: 'half a character stands alone (a lone surrogate)',
    got: `\\u${text.charCodeAt(at).toString(16)} at character ${at}`,
    hint: 'It was cut in two when the text was made. Put U+FFFD for it: frugal data clean --repair.',
  });
}

const LONE = /\p{Surrogate}/u;
