import type { MetadataList, MetadataValue } from '../tensor-source.js';
import type { Cursor } from './cursor.js';
import {
  type GgufItemType,
  type GgufValue,
  type GgufValueType,
  NUMBER_ARRAYS,
  VALUE_BYTES,
  VALUE_TYPES,
} from './types.js';

/** Arrays in arrays in arrays … are no metadata. */
const MAX_NESTING = 8;

/** Reads a type and a value. */
export async function readTypedValue(cursor: Cursor): Promise<GgufValue> {
  await cursor.need(4);
  const type = readType(cursor);
  return type === 'array' ? readArray(cursor, 0) : { type, value: await readScalar(cursor, type) };
}

/** The value without its type; integers beyond 2^53 stay bigint. */
export function plainValue(value: GgufValue): MetadataValue {
  return value.type === 'array' && value.items === 'array' ? value.value.map(plainValue) : value.value;
}

function readType(cursor: Cursor): GgufValueType {
  const at = cursor.position;
  const number = cursor.u32();
  const type = VALUE_TYPES[number];
  return type ?? cursor.fail('unknown metadata type', { got: String(number), expected: '0 to 12' }, at);
}

async function readScalar(cursor: Cursor, type: GgufItemType): Promise<MetadataValue> {
  if (type === 'string') return cursor.string('a metadata string');
  await cursor.need(VALUE_BYTES[type]);
  if (type === 'bool') return readBool(cursor);
  const value = numberList(type, cursor.take(VALUE_BYTES[type]), 1)[0];
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readBool(cursor: Cursor): boolean {
  const at = cursor.position;
  const byte = cursor.take(1)[0];
  if (byte > 1) cursor.fail('a boolean is neither 0 nor 1', { got: String(byte) }, at);
  return byte === 1;
}

async function readArray(cursor: Cursor, nesting: number): Promise<GgufValue> {
  if (nesting > MAX_NESTING)
    cursor.fail('metadata arrays are nested too deeply', { expected: `at most ${MAX_NESTING}` });
  await cursor.need(12);
  const items = readType(cursor);
  const count = cursor.length('length of a metadata array', VALUE_BYTES[items]);
  if (items === 'array') {
    const value: GgufValue[] = [];
    for (let i = 0; i < count; i++) value.push(await readArray(cursor, nesting + 1));
    return { type: 'array', items, value };
  }
  return { type: 'array', items, value: await readItems(cursor, items, count) };
}

async function readItems(cursor: Cursor, items: GgufItemType, count: number): Promise<MetadataList> {
  if (items === 'string') {
    const strings: string[] = [];
    for (let i = 0; i < count; i++) {
      strings.push(cursor.stringInWindow() ?? (await cursor.string('a metadata string')));
    }
    return strings;
  }
  const byteLength = count * VALUE_BYTES[items];
  await cursor.need(byteLength);
  if (items === 'bool') return Array.from({ length: count }, () => readBool(cursor));
  return numberList(items, cursor.take(byteLength), count);
}

/** Numbers from little-endian bytes, copied so that they are aligned and do not hold on to the window. */
function numberList(type: keyof typeof NUMBER_ARRAYS, bytes: Uint8Array, count: number) {
  return new NUMBER_ARRAYS[type](bytes.slice().buffer, 0, count);
}
