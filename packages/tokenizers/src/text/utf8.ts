const encoder = new TextEncoder();
// ignoreBOM keeps a leading U+FEFF, which is text like any other here.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strictDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** UTF-8 of a text; a lone surrogate becomes U+FFFD. */
export const utf8Bytes = (text: string): Uint8Array => encoder.encode(text);

/**
 * Writes the UTF-8 of a well-formed text into `bytes` and returns its length. For words: an encoder call costs more than
 * the word.
 */
export function writeUtf8(text: string, bytes: Uint8Array): number {
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code < 0x800) bytes[at++] = 0xc0 | (code >> 6);
    else {
      if (code >= 0xd800 && code < 0xdc00) {
        code = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
      } else bytes[at++] = 0xe0 | (code >> 12);
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[at++] = 0x80 | (code & 0x3f);
  }
  return at;
}

/** Text of UTF-8; each maximal invalid part becomes one U+FFFD. */
export const utf8Text = (bytes: Uint8Array): string => decoder.decode(bytes);

/** Text of UTF-8, or undefined when it is not valid. */
export function strictUtf8Text(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * How many bytes at the end are the beginning of a character that later bytes can complete (0 to 3). Bytes that no
 * continuation can make valid count as complete: they are U+FFFD whatever follows.
 */
export function incompleteSuffix(bytes: Uint8Array, end = bytes.length): number {
  for (let length = 1; length <= Math.min(3, end); length++) {
    const byte = bytes[end - length];
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    if (byte < 0xc2 || byte > 0xf4 || length >= needed) return 0;
    return length === 1 || isSecondByte(byte, bytes[end - length + 1]) ? length : 0;
  }
  return 0;
}

/** Some first bytes allow fewer second bytes: no overlong forms, no surrogates, nothing above U+10FFFF. */
function isSecondByte(first: number, second: number): boolean {
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second < 0xa0;
  if (first === 0xf0) return second >= 0x90;
  if (first === 0xf4) return second < 0x90;
  return true;
}

/** Joins UTF-8 that arrives in pieces and gives out whole characters only. */
export class Utf8Joiner {
  private buffer = new Uint8Array(64);
  private length = 0;

  /** Adds bytes and returns the text that is complete now. */
  push(bytes: Uint8Array): string {
    const total = this.length + bytes.length;
    if (total > this.buffer.length) {
      const larger = new Uint8Array(Math.max(total, this.buffer.length * 2));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.length);
    const waiting = incompleteSuffix(this.buffer, total);
    const complete = total - waiting;
    this.length = waiting;
    if (complete === 0) return '';
    const text = utf8Text(this.buffer.subarray(0, complete));
    this.buffer.copyWithin(0, complete, total);
    return text;
  }

  /** Ends the text: what still waits becomes U+FFFD. */
  flush(): string {
    const text = utf8Text(this.buffer.subarray(0, this.length));
    this.length = 0;
    return text;
  }
}
