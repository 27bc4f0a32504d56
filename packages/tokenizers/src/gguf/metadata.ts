import { TokenizerFileError } from '../errors.js';
import { describe } from '../file/json.js';

/** How llama.cpp classes tokens (`tokenizer.ggml.token_type`). */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Reads values of a GGUF file's metadata and complains by key. */
export class GgufMetadata {
  constructor(
    private readonly values: Readonly<Record<string, unknown>>,
    readonly file: string,
  ) {}

  fail(key: string, what: string, facts: { got?: string; expected?: string; hint?: string } = {}): never {
    throw new TokenizerFileError({ file: this.file, key, what, ...facts });
  }

  private wrong(key: string, expected: string): never {
    const value = this.values[key];
    return this.fail(key, value === undefined ? 'a value is missing' : 'a value has the wrong type', {
      got: describe(value),
      expected,
    });
  }

  string(key: string): string | undefined {
    const value = this.values[key];
    return value === undefined || typeof value === 'string' ? value : this.wrong(key, 'a string');
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values[key] ?? fallback;
    return typeof value === 'boolean' ? value : this.wrong(key, 'true or false');
  }

  /** An id below `count`. */
  id(key: string, count: number): number | undefined {
    const value = this.values[key];
    if (value === undefined) return undefined;
    const id = Number(value);
    return Number.isInteger(id) && id >= 0 && id < count ? id : this.wrong(key, `an id below ${count}`);
  }

  strings(key: string): readonly string[] {
    const value = this.values[key];
    if (!Array.isArray(value)) return this.wrong(key, 'a list of strings');
    const odd = value.findIndex((item) => typeof item !== 'string');
    return odd < 0 ? value : this.fail(`${key}[${odd}]`, 'not a string', { got: describe(value[odd]) });
  }

  /** Numbers, one for each token; undefined when the key is absent. */
  numbers(key: string, count: number): ArrayLike<number> | undefined {
    const value = this.values[key];
    if (value === undefined) return undefined;
    const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
    if (!isList) return this.wrong(key, 'a list of numbers');
    const { length } = value as unknown as ArrayLike<number>;
    if (length === count) return value as unknown as ArrayLike<number>;
    return this.fail(key, 'a list has the wrong length', {
      got: String(length),
      expected: `${count}, as there are tokens`,
    });
  }

  /** Keys that begin with `prefix`. */
  keys(prefix: string): string[] {
    return Object.keys(this.values).filter((key) => key.startsWith(prefix));
  }
}
