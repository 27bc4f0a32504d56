import { CheckpointFormatError, CheckpointWriteError, show } from '../errors.js';
import { JsonScanner } from './scanner.js';

/** Anything JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Nesting beyond this is no checkpoint's configuration. */
const MAX_DEPTH = 100;

/**
 * Parses JSON strictly: a repeated key, nesting deeper than 100 or invalid UTF-8 throws {@link CheckpointFormatError}
 * with the byte position. `NaN` and `Infinity` are accepted, because Python writes them (`"limit": Infinity`).
 */
export function parseJson(data: Uint8Array | string, file: string): JsonValue {
  const scanner = new JsonScanner(typeof data === 'string' ? data : decodeUtf8(data, file), file);
  const value = parseValue(scanner, 0);
  scanner.end();
  return value;
}

/** {@link parseJson} for a text that must be an object. */
export function parseJsonObject(data: Uint8Array | string, file: string): JsonObject {
  const value = parseJson(data, file);
  if (isJsonObject(value)) return value;
  throw new CheckpointFormatError({ file, offset: 0, what: 'not a JSON object', got: show(value) });
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Decodes UTF-8; invalid bytes throw {@link CheckpointFormatError}. A byte order mark is dropped. */
export function decodeUtf8(bytes: Uint8Array, file: string, offset = 0): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new CheckpointFormatError({ file, offset, what: 'text is not valid UTF-8', cause });
  }
}

/**
 * JSON text with two spaces of indentation and a final newline; keys keep their order, `undefined` members are left
 * out, NaN and Infinity are written as Python does, whole numbers of the members named in `floats` as 1.0. Throws
 * {@link CheckpointWriteError} for what JSON cannot say.
 */
export function formatJson(value: unknown, floats: ReadonlySet<string> = new Set()): string {
  return `${format(value, { indent: '', depth: 0, floats })}\n`;
}

function parseValue(scanner: JsonScanner, depth: number): JsonValue {
  if (depth > MAX_DEPTH)
    scanner.fail('JSON is nested too deeply', { expected: `at most ${MAX_DEPTH} levels` });
  const next = scanner.peek();
  if (next === '"') return scanner.string();
  if (next === '{') {
    const object: JsonObject = {};
    scanner.object((key) => setOwn(object, key, parseValue(scanner, depth + 1)));
    return object;
  }
  if (next === '[') {
    const array: JsonValue[] = [];
    scanner.array(() => array.push(parseValue(scanner, depth + 1)));
    return array;
  }
  if (scanner.take('true')) return true;
  if (scanner.take('false')) return false;
  if (scanner.take('null')) return null;
  return scanner.number();
}

/** Assignment to `__proto__` would change the prototype instead of adding a member. */
function setOwn(object: JsonObject, key: string, value: JsonValue): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

interface FormatContext {
  readonly indent: string;
  readonly depth: number;
  readonly floats: ReadonlySet<string>;
  /** Whether the value belongs to one of `floats`. */
  readonly isFloat?: boolean;
}

function format(value: unknown, context: FormatContext): string {
  const { indent, depth, floats } = context;
  if (depth > MAX_DEPTH) throw unwritable('a value nested too deeply (a cycle?)');
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return formatNumber(value, context);
  if (typeof value !== 'object') throw unwritable(`a ${typeof value}`);
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return format(value.toJSON(), { ...context, depth: depth + 1 });
  const inner = `${indent}  `;
  const member = { indent: inner, depth: depth + 1, floats };
  const items = Array.isArray(value)
    ? value.map((item) => format(item, member))
    : Object.entries(value)
        .filter(([, held]) => held !== undefined)
        .map(
          ([key, held]) => `${JSON.stringify(key)}: ${format(held, { ...member, isFloat: floats.has(key) })}`,
        );
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return items.length === 0
    ? `${open}${close}`
    : `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
}

function formatNumber(value: number, { isFloat }: FormatContext): string {
  if (!Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value);
  return isFloat && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function unwritable(what: string): CheckpointWriteError {
  return new CheckpointWriteError({ where: 'JSON', what: `cannot write ${what} as JSON` });
}
