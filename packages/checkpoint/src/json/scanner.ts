import { CheckpointFormatError, show } from '../errors.js';

const ZERO = 48;
const NUMBER_GOES_ON = /[.\w+-]/;
/** Escapes, and control characters, which must be escaped. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NEEDS_PARSING = /[\\\u0000-\u001f]/;

/**
 * Reads JSON token by token and keeps count of where it is, for files that may be hostile: no recursion of its own,
 * exact integers only where integers are wanted, and every error carries the byte position.
 */
export class JsonScanner {
  private position = 0;

  /** `baseOffset` is the byte position of `text` in the file. */
  constructor(
    private readonly text: string,
    private readonly file: string,
    private readonly baseOffset = 0,
  ) {}

  /** Throws a {@link CheckpointFormatError} about the position `at` (a character index; default: here). */
  fail(
    what: string,
    facts: { got?: string; expected?: string; hint?: string } = {},
    at = this.position,
  ): never {
    const before = new TextEncoder().encode(this.text.slice(0, at)).byteLength;
    throw new CheckpointFormatError({ file: this.file, offset: this.baseOffset + before, what, ...facts });
  }

  /** Character index of the next token. */
  mark(): number {
    this.skipSpace();
    return this.position;
  }

  /** First character of the next token, '' at the end. */
  peek(): string {
    this.skipSpace();
    return this.text[this.position] ?? '';
  }

  /** Consumes `token` when it comes next. */
  take(token: string): boolean {
    this.skipSpace();
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    return true;
  }

  /** Consumes `token` or fails. */
  expect(token: string): void {
    if (!this.take(token)) this.fail('malformed JSON', { got: this.found(), expected: show(token) });
  }

  /** Consumes a string. */
  string(): string {
    const start = this.mark();
    this.expect('"');
    let end = this.text.indexOf('"', this.position);
    while (end > 0 && this.escaped(end)) end = this.text.indexOf('"', end + 1);
    if (end < 0) this.fail('malformed JSON', { got: 'a string without end' }, start);
    const inner = this.text.slice(start + 1, end);
    this.position = end + 1;
    return NEEDS_PARSING.test(inner) ? this.unescape(inner, start) : inner;
  }

  /** Consumes a number: NaN and Infinity too, which Python writes into config files. */
  number(): number {
    const match = this.match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity/y);
    if (match === undefined) this.fail('malformed JSON', { got: this.found(), expected: 'a number' });
    return Number(match);
  }

  /** Consumes a whole number from 0 to 2^53 - 1: `meaning` of the thing named `owner`. */
  count(meaning: string, owner: string): number {
    const start = this.mark();
    let value = 0;
    let digit = this.text.charCodeAt(this.position) - ZERO;
    while (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digit = this.text.charCodeAt(++this.position) - ZERO;
    }
    const length = this.position - start;
    const leadingZero = length > 1 && this.text.charCodeAt(start) === ZERO;
    if (
      length === 0 ||
      leadingZero ||
      !Number.isSafeInteger(value) ||
      NUMBER_GOES_ON.test(this.text[this.position])
    ) {
      this.position = start;
      const got = this.match(/[-+.\w]{1,40}/y) ?? this.found();
      this.fail(
        `${meaning} of ${show(owner)} is not a count`,
        { got, expected: 'a whole number from 0 to 2^53 - 1' },
        start,
      );
    }
    return value;
  }

  /**
   * Consumes `{ … }`, calling `member` with each key before its value. Keys must not repeat: `seen` tells which were
   * there, and needs to be given only when `member` keeps them anyway.
   */
  object(member: (key: string, at: number) => void, seen?: { has(key: string): boolean }): void {
    this.expect('{');
    if (this.take('}')) return;
    const keys = new Set<string>();
    do {
      const at = this.mark();
      const key = this.string();
      if ((seen ?? keys).has(key)) this.fail('a key appears twice', { got: show(key) }, at);
      if (!seen) keys.add(key);
      this.expect(':');
      member(key, at);
    } while (this.take(','));
    this.expect('}');
  }

  /** Consumes `[ … ]`, calling `item` before each item. */
  array(item: () => void): void {
    this.expect('[');
    if (this.take(']')) return;
    do item();
    while (this.take(','));
    this.expect(']');
  }

  /** Fails unless only white space is left. */
  end(): void {
    if (this.peek() !== '') this.fail('text after the end of the JSON', { got: this.found() });
  }

  private unescape(inner: string, start: number): string {
    let value: string;
    try {
      value = JSON.parse(`"${inner}"`) as string;
    } catch {
      return this.fail('malformed JSON', { got: `the string ${show(inner)}` }, start);
    }
    if (!value.isWellFormed())
      this.fail('a string is not valid Unicode', { got: `"${inner.slice(0, 40)}"` }, start);
    return value;
  }

  private found(): string {
    const next = this.text.slice(this.position, this.position + 20);
    return next === '' ? 'the end of the text' : show(next);
  }

  private match(pattern: RegExp): string | undefined {
    this.skipSpace();
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.text)?.[0];
    if (match !== undefined) this.position += match.length;
    return match;
  }

  /** Whether the quote at `index` is preceded by an odd number of backslashes. */
  private escaped(index: number): boolean {
    let backslashes = 0;
    while (this.text[index - 1 - backslashes] === '\\') backslashes++;
    return backslashes % 2 === 1;
  }

  private skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.position++;
    }
  }
}
