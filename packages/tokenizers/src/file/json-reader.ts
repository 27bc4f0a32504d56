import { TokenizerFileError } from '../errors.js';
import { describe, isObject, type JsonObject, type JsonValue } from './json.js';

/** Components may hold components (Sequence); real files nest two or three deep. */
const MAX_DEPTH = 32;

/** Reads the text of a JSON file. Throws TokenizerFileError with the offset where it stops being JSON. */
export function parseJsonText(text: string, file: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const position = /at position (\d+)/.exec(message);
    const offset = position ? Number(position[1]) : text.length;
    throw new TokenizerFileError({
      file,
      offset,
      what: offset >= text.length ? 'the file is truncated' : 'the file is not JSON',
      got: offset >= text.length ? 'the end of the file' : JSON.stringify(text.slice(offset, offset + 20)),
      expected: `JSON (${text.length} characters read)`,
      hint: 'Fetch the file again.',
      cause,
    });
  }
}

/** A value of a JSON file together with its path, so that every complaint names both. */
export class JsonReader {
  constructor(
    readonly file: string,
    readonly key: string,
    readonly value: unknown,
    private readonly depth = 0,
  ) {}

  get isPresent(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  fail(what: string, facts: { got?: string; expected?: string; hint?: string; cause?: unknown } = {}): never {
    throw new TokenizerFileError({ file: this.file, key: this.key || undefined, what, ...facts });
  }

  private wrong(expected: string): never {
    return this.fail(this.isPresent ? 'a value has the wrong type' : 'a value is missing', {
      got: describe(this.value),
      expected,
      hint: 'Fetch the file again, or write it again with the library that made it.',
    });
  }

  at(key: string | number): JsonReader {
    const path = typeof key === 'number' ? `${this.key}[${key}]` : this.key ? `${this.key}.${key}` : key;
    if (this.depth >= MAX_DEPTH)
      this.fail('values are nested too deeply', { expected: `at most ${MAX_DEPTH}` });
    const value =
      Array.isArray(this.value) || (isObject(this.value) && Object.hasOwn(this.value, key))
        ? (this.value as Record<string | number, unknown>)[key]
        : undefined;
    return new JsonReader(this.file, path, value, this.depth + 1);
  }

  object(): JsonObject {
    return isObject(this.value) ? this.value : this.wrong('an object');
  }

  list(): JsonValue[] {
    return Array.isArray(this.value) ? this.value : this.wrong('a list');
  }

  items(): JsonReader[] {
    return Array.from(this.list().keys(), (index) => this.at(index));
  }

  string(): string {
    return typeof this.value === 'string' ? this.value : this.wrong('a string');
  }

  number(): number {
    return typeof this.value === 'number' ? this.value : this.wrong('a number');
  }

  index(): number {
    const { value } = this;
    return Number.isInteger(value) && (value as number) >= 0
      ? (value as number)
      : this.wrong('an integer from 0');
  }

  boolean(fallback: boolean): boolean {
    if (!this.isPresent) return fallback;
    return typeof this.value === 'boolean' ? this.value : this.wrong('true or false');
  }

  optionalString(): string | undefined {
    return this.isPresent ? this.string() : undefined;
  }

  optionalObject(): JsonObject | undefined {
    return this.isPresent ? this.object() : undefined;
  }
}
