import type { ByteSource } from '../byte-source.js';
import { readBytes } from '../byte-source.js';
import { byteLengthOf, type DType } from '../dtypes.js';
import { CheckpointFormatError, show } from '../errors.js';
import { type MetadataValue, type TensorEntry, type TensorSource, tensorSourceOf } from '../tensor-source.js';
import { Cursor } from './cursor.js';
import { plainValue, readTypedValue } from './metadata.js';
import {
  ALIGNMENT_KEY,
  alignUp,
  DEFAULT_ALIGNMENT,
  dtypeOfTensorType,
  type GgufValue,
  MAGIC,
  MAX_DIMENSIONS,
} from './types.js';

/** A GGUF file. `metadata` has plain values, `fields` the same with the types they have in the file. */
export interface GgufSource extends TensorSource {
  readonly format: 'gguf';
  readonly version: number;
  readonly alignment: number;
  readonly fields: ReadonlyMap<string, GgufValue>;
}

interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
  /** Where the description of the tensor stands in the file. */
  readonly at: number;
}

/** Smallest possible sizes of a metadata field and of a tensor description, which bound how many a file can hold. */
const FIELD_BYTES = 13;
const INFO_BYTES = 24;

/** Whether a file begins like GGUF. */
export async function isGguf(source: ByteSource): Promise<boolean> {
  if (source.size < 4) return false;
  const bytes = await readBytes(source, 0, 4);
  return new DataView(bytes.buffer).getUint32(0, true) === MAGIC;
}

/**
 * Opens a GGUF file of version 2 or 3. Everything but the tensors is read and checked; tensors are read on demand.
 * Throws CheckpointFormatError for anything that is not a valid file. Closing the result closes `source`.
 */
export async function readGguf(source: ByteSource): Promise<GgufSource> {
  const cursor = new Cursor(source);
  await cursor.need(Math.min(24, source.size));
  const version = readVersion(cursor, source.size);
  const tensorCount = cursor.length('number of tensors', INFO_BYTES);
  const fieldCount = cursor.length('number of metadata fields', FIELD_BYTES);
  const fields = await readFields(cursor, fieldCount);
  const alignment = alignmentOf(fields, cursor);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await readTensorInfo(cursor, alignment));
  const entries = placeTensors(infos, alignUp(cursor.position, alignment), source);
  const metadata = new Map<string, MetadataValue>();
  for (const [key, value] of fields) metadata.set(key, plainValue(value));
  const tensors = tensorSourceOf('gguf', entries, metadata, new Map([[source.name, source]]));
  return { ...tensors, format: 'gguf', version, alignment, fields };
}

function readVersion(cursor: Cursor, size: number): number {
  if (size < 24)
    cursor.fail('the file is too short for GGUF', { got: `${size} bytes`, expected: 'at least 24' });
  const magic = cursor.u32();
  if (magic !== MAGIC)
    cursor.fail('not a GGUF file', { got: `magic 0x${magic.toString(16)}`, expected: '"GGUF"' }, 0);
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const bigEndian = version !== 0 && version % 2 ** 16 === 0;
  return cursor.fail(
    'unsupported GGUF version',
    {
      got: bigEndian ? 'a big-endian file' : String(version),
      expected: '2 or 3, little-endian',
      hint: 'Convert the file again with a current llama.cpp.',
    },
    4,
  );
}

async function readFields(cursor: Cursor, count: number): Promise<Map<string, GgufValue>> {
  const fields = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const at = cursor.position;
    const key = await cursor.string('a metadata key');
    if (fields.has(key)) cursor.fail('a metadata key appears twice', { got: show(key) }, at);
    fields.set(key, await readTypedValue(cursor));
  }
  return fields;
}

function alignmentOf(fields: ReadonlyMap<string, GgufValue>, cursor: Cursor): number {
  const field = fields.get(ALIGNMENT_KEY);
  if (!field) return DEFAULT_ALIGNMENT;
  const { type, value } = field;
  if (type === 'u32' && typeof value === 'number' && value > 0 && Number.isInteger(Math.log2(value)))
    return value;
  const got = `${type} ${typeof value === 'object' ? 'list' : show(value)}`;
  return cursor.fail(`bad ${ALIGNMENT_KEY}`, { got, expected: 'a power of two as u32' });
}

async function readTensorInfo(cursor: Cursor, alignment: number): Promise<TensorInfo> {
  const at = cursor.position;
  const name = await cursor.string('a tensor name');
  const where = `tensor ${show(name)}`;
  await cursor.need(4);
  const dimensions = cursor.u32();
  if (dimensions > MAX_DIMENSIONS) {
    cursor.fail(
      `${where} has too many dimensions`,
      { got: String(dimensions), expected: `0 to ${MAX_DIMENSIONS}` },
      at,
    );
  }
  await cursor.need(8 * dimensions + 12);
  const shape = Array.from({ length: dimensions }, () => Number(cursor.u64())).reverse();
  const type = cursor.u32();
  const offset = Number(cursor.u64());
  const dtype = dtypeOfTensorType(type);
  if (!dtype) {
    const hint = 'It is newer than this program, or the file is damaged.';
    cursor.fail(`${where} has an unknown type`, { got: String(type), hint }, at);
  }
  const byteLength = byteLengthOf(dtype, shape);
  if (byteLength === undefined) {
    cursor.fail(`${where} has an impossible shape`, { got: `${dtype} [${shape}]` }, at);
  }
  if (!Number.isSafeInteger(offset) || offset % alignment !== 0) {
    cursor.fail(
      `${where} has a bad offset`,
      { got: String(offset), expected: `a multiple of ${alignment}` },
      at,
    );
  }
  return { name, dtype, shape, offset, byteLength, at };
}

/** Entries of all tensors; refuses those outside of the file and those that overlap. */
function placeTensors(
  infos: readonly TensorInfo[],
  dataStart: number,
  source: ByteSource,
): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>();
  const refuse = ({ name, at }: TensorInfo, what: string, got: string, expected: string): never => {
    throw new CheckpointFormatError({
      file: source.name,
      offset: at,
      what: `tensor ${show(name)} ${what}`,
      got,
      expected,
    });
  };
  for (const info of infos) {
    const { name, dtype, shape, offset, byteLength } = info;
    const byteOffset = dataStart + offset;
    if (entries.has(name)) refuse(info, 'appears twice', 'two descriptions', 'one');
    if (byteOffset + byteLength > source.size) {
      refuse(
        info,
        'reaches beyond the end of the file',
        `bytes ${byteOffset} to ${byteOffset + byteLength}`,
        `at most ${source.size}`,
      );
    }
    entries.set(name, { name, dtype, shape, byteOffset, byteLength, file: source.name });
  }
  let end = 0;
  for (const info of infos.filter(({ byteLength }) => byteLength > 0).sort((a, b) => a.offset - b.offset)) {
    if (info.offset < end) refuse(info, 'overlaps another', `offset ${info.offset}`, `at least ${end}`);
    end = info.offset + info.byteLength;
  }
  return entries;
}
