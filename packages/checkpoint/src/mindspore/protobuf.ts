import type { ByteSource } from '../byte-source.js';
import { readBytes } from '../byte-source.js';
import { CheckpointFormatError } from '../errors.js';

/** A field of a protobuf message: a number, or where its bytes lie. */
export type ProtobufField =
  | { readonly number: number; readonly value: number }
  | { readonly number: number; readonly start: number; readonly end: number };

const HEAD_BYTES = 20;

/**
 * The fields of the message in [start, end), without reading the contents of long ones. Numbers are read as far as they
 * are exact. Throws {@link CheckpointFormatError} for anything that is no protobuf.
 */
export async function* protobufFields(
  source: ByteSource,
  start: number,
  end: number,
): AsyncGenerator<ProtobufField> {
  for (let at = start; at < end; ) {
    const head = await readBytes(source, at, Math.min(HEAD_BYTES, end - at));
    const fail = (what: string, got?: string): never => {
      throw new CheckpointFormatError({ file: source.name, offset: at, what, ...(got && { got }) });
    };
    const [key, keyBytes] = varint(head, 0) ?? fail('not a protobuf field');
    const [number, type] = [Math.floor(key / 8), key % 8];
    if (number === 0) fail('a protobuf field has the number 0');
    if (type === 0) {
      const [value, bytes] = varint(head, keyBytes) ?? fail('a protobuf number is cut off');
      yield { number, value };
      at += keyBytes + bytes;
    } else if (type === 2) {
      const [length, bytes] = varint(head, keyBytes) ?? fail('a protobuf length is cut off');
      const contentStart = at + keyBytes + bytes;
      if (!(length <= end - contentStart))
        fail('a protobuf field reaches beyond its message', `${length} bytes of ${end - contentStart}`);
      yield { number, start: contentStart, end: contentStart + length };
      at = contentStart + length;
    } else fail('unexpected protobuf wire type', String(type));
  }
}

/** A number of up to 2^53 and its length in bytes; undefined when it is cut off or longer than ten bytes. */
export function varint(bytes: Uint8Array, start: number): [value: number, length: number] | undefined {
  let value = 0;
  for (let i = 0; i < 10 && start + i < bytes.length; i++) {
    const byte = bytes[start + i];
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return [value, i + 1];
  }
  return undefined;
}
