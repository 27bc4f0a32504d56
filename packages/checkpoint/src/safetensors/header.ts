import { byteLengthOf, DTYPES, isPlainDType, type PlainDType } from '../dtypes.js';
import { CheckpointFormatError, CheckpointWriteError, show } from '../errors.js';
import { decodeUtf8 } from '../json/json.js';
import { JsonScanner } from '../json/scanner.js';
import type { TensorEntry } from '../tensor-source.js';

/** Bytes of the length field in front of the header. */
export const LENGTH_BYTES = 8;
/** The limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

const OPENING_BRACE = 0x7b;
const METADATA_KEY = '__metadata__';

/** One tensor of a header to be written; offsets count from the end of the header. */
export interface HeaderTensor {
  readonly name: string;
  readonly dtype: PlainDType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** What a safetensors header says. */
export interface SafetensorsHeader {
  readonly entries: Map<string, TensorEntry>;
  readonly metadata: Map<string, string>;
}

/** Header length from the first 8 bytes of a file of `fileSize` bytes, checked against the limits. */
export function parseHeaderLength(bytes: Uint8Array, fileSize: number, file: string): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, fileSize - LENGTH_BYTES);
  if (length >= 2n && length <= BigInt(limit)) return Number(length);
  throw new CheckpointFormatError({
    file,
    offset: 0,
    what: 'the header length is impossible',
    got: `${length} bytes in a file of ${fileSize} bytes`,
    expected: `2 to ${limit}`,
    hint: 'The file is truncated, or it is no safetensors file.',
  });
}

/**
 * Parses and checks a header strictly: every dtype known, every length equal to shape × dtype, the tensors side by
 * side without hole or overlap from the first byte after the header to the last of the file (`dataLength` bytes).
 */
export function parseHeader(bytes: Uint8Array, dataLength: number, file: string): SafetensorsHeader {
  if (bytes[0] !== OPENING_BRACE) {
    const got = `byte 0x${(bytes[0] ?? 0).toString(16)}`;
    throw new CheckpointFormatError({
      file,
      offset: LENGTH_BYTES,
      what: 'the header is no JSON object',
      got,
    });
  }
  const dataStart = LENGTH_BYTES + bytes.byteLength;
  const scanner = new JsonScanner(decodeUtf8(bytes, file, LENGTH_BYTES), file, LENGTH_BYTES);
  const entries = new Map<string, TensorEntry>();
  let metadata: Map<string, string> | undefined;
  scanner.object(
    (key) => {
      if (key === METADATA_KEY) metadata = parseMetadata(scanner);
      else entries.set(key, parseTensor(scanner, key, dataStart, file));
    },
    { has: (key) => (key === METADATA_KEY ? metadata !== undefined : entries.has(key)) },
  );
  scanner.end();
  checkLayout([...entries.values()], dataStart, dataLength, file);
  return { entries, metadata: metadata ?? new Map() };
}

function parseMetadata(scanner: JsonScanner): Map<string, string> {
  const metadata = new Map<string, string>();
  scanner.object((key) => metadata.set(key, scanner.string()), metadata);
  return metadata;
}

function parseTensor(scanner: JsonScanner, name: string, dataStart: number, file: string): TensorEntry {
  const at = scanner.mark();
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const counts = (meaning: string) => {
    const list: number[] = [];
    scanner.array(() => list.push(scanner.count(meaning, name)));
    return list;
  };
  scanner.object((key, keyAt) => {
    if (key === 'dtype') dtype = scanner.string();
    else if (key === 'shape') shape = counts('a dimension');
    else if (key === 'data_offsets') offsets = counts('an offset');
    else scanner.fail(`unknown field in tensor ${show(name)}`, { got: show(key) }, keyAt);
  });
  if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
    scanner.fail(`tensor ${show(name)} is incomplete`, { expected: 'dtype, shape and two data_offsets' }, at);
  }
  if (!isPlainDType(dtype)) {
    scanner.fail(
      `tensor ${show(name)} has an unknown dtype`,
      { got: show(dtype), expected: 'one of safetensors' },
      at,
    );
  }
  const [start, end] = offsets;
  const expected = byteLengthOf(dtype, shape);
  if (expected === undefined) {
    scanner.fail(
      `tensor ${show(name)} has an impossible shape`,
      { got: `${dtype} [${shape.slice(0, 8)}]` },
      at,
    );
  }
  if (end - start !== expected) {
    const got = `offsets ${start} to ${end}, ${end - start} bytes`;
    scanner.fail(
      `tensor ${show(name)} has the wrong length`,
      { got, expected: `${expected} bytes for ${dtype} [${shape.slice(0, 8)}]` },
      at,
    );
  }
  return { name, dtype, shape, byteOffset: dataStart + start, byteLength: expected, file };
}

function checkLayout(entries: TensorEntry[], dataStart: number, dataLength: number, file: string): void {
  entries.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let position = dataStart;
  for (const { name, byteOffset, byteLength } of entries) {
    if (byteOffset !== position) {
      throw new CheckpointFormatError({
        file,
        offset: Math.min(byteOffset, position),
        what: `tensor ${show(name)} ${byteOffset < position ? 'overlaps the one before' : 'leaves a hole before it'}`,
        got: `data offset ${byteOffset - dataStart}`,
        expected: String(position - dataStart),
      });
    }
    position += byteLength;
  }
  if (position === dataStart + dataLength) return;
  throw new CheckpointFormatError({
    file,
    offset: Math.min(position, dataStart + dataLength),
    what:
      position > dataStart + dataLength
        ? 'the file is truncated'
        : 'there are bytes that belong to no tensor',
    got: `${dataLength} bytes of data`,
    expected: String(position - dataStart),
    hint: 'Fetch the file again.',
  });
}

/**
 * Order in the file, that of the reference implementation: widest dtype first, so that every tensor is aligned to its
 * elements, then by name.
 */
export function compareForLayout(a: NamedTensor, b: NamedTensor): number {
  return (
    DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype) || (a.name < b.name ? -1 : Number(a.name > b.name))
  );
}

interface NamedTensor {
  readonly name: string;
  readonly dtype: PlainDType;
}

/** Length field and header, padded with spaces to a multiple of 8 bytes. Metadata is written in order of its keys. */
export function encodeHeader(
  tensors: readonly HeaderTensor[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const members: string[] = [];
  if (metadata.size > 0) {
    const sorted = [...metadata].sort(([a], [b]) => (a < b ? -1 : 1));
    const entries = sorted.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    members.push(`"__metadata__":{${entries.join(',')}}`);
  }
  for (const { name, dtype, shape, start, end } of tensors) {
    members.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${start},${end}]}`,
    );
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointWriteError({
      where: 'safetensors',
      what: 'the header is too large',
      got: `${length} bytes`,
      expected: `at most ${MAX_HEADER_BYTES}`,
      hint: 'Write fewer tensors per file (maxShardBytes) or less metadata.',
    });
  }
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(32);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}
