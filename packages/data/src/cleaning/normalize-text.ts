/** Controls, and characters without width that only mark bytes or places to break a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to go
const INVISIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u200b\u2060\ufeff]/g;
const WIDE_SPACES = /[\u00a0\u2000-\u200a\u202f\u205f\u3000]/g;

/**
 * The same text in one spelling: Unicode NFC, line feeds, plain spaces, nothing invisible, at most one empty line in a
 * row. Halves of surrogate pairs become U+FFFD. Letters, case and punctuation stay as they are. Idempotent.
 */
export function normalizeText(text: string): string {
  return (
    text
      .toWellFormed()
      .replace(/\r\n?|\u2028|\u2029|\u0085/g, '\n')
      .replace(INVISIBLE, '')
      .replace(WIDE_SPACES, ' ')
      .normalize('NFC')
      // Looked for at the beginning of a run only: else a long one inside of a line takes the square of its length.
      .replace(/(?<![ \t])[ \t]+$/gm, '')
      .replace(/\n{3,}/g, '\n\n')
      .trim()
  );
}
