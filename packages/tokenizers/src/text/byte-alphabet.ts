/**
 * The alphabet of byte-level BPE (GPT-2): each byte is written as one printable character. Bytes that print as
 * themselves stay; the other 68 become U+0100, U+0101, … in order.
 */
export const BYTE_TO_CHARACTER: readonly string[] = makeAlphabet();

const HIGHEST_CHARACTER = 0x143;

/** Character code → byte, or -1 for characters that stand for no byte. */
const CODE_TO_BYTE = new Int16Array(HIGHEST_CHARACTER + 1).fill(-1);
for (let byte = 0; byte < 256; byte++) CODE_TO_BYTE[BYTE_TO_CHARACTER[byte].charCodeAt(0)] = byte;

const encoder = new TextEncoder();

function makeAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCharCode(prints ? byte : next++);
  });
}

/** The byte that a character of the alphabet stands for, or -1. */
export const byteOfCharacter = (code: number): number =>
  code <= HIGHEST_CHARACTER ? CODE_TO_BYTE[code] : -1;

/** Writes bytes with the alphabet. */
export function charactersOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += BYTE_TO_CHARACTER[byte];
  return text;
}

/** The bytes of a token written with the alphabet; a token with any other character stands for its own UTF-8. */
export function bytesOfCharacters(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter(token.charCodeAt(i));
    if (byte < 0) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
