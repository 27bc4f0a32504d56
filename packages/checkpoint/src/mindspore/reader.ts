import { type ByteSource, readBytes } from '../byte-source.js';
import { byteLengthOf, type DType } from '../dtypes.js';
import { CheckpointError, CheckpointFormatError, show } from '../errors.js';
import { decodeUtf8 } from '../json/json.js';
import { entryOf, type TensorEntry, type TensorSource } from '../tensor-source.js';
import { protobufFields, varint } from './protobuf.js';

/** MindSpore's names of dtypes. */
const DTYPES: Readonly<Record<string, DType>> = {
  Int8: 'I8',
  UInt8: 'U8',
  Int16: 'I16',
  UInt16: 'U16',
  Int32: 'I32',
  UInt32: 'U32',
  Int64: 'I64',
  UInt64: 'U64',
  Float16: 'F16',
  Float32: 'F32',
  Float64: 'F64',
  BFloat16: 'BF16',
  Bool: 'BOOL',
};

const MAX_NAME_BYTES = 2 ** 16;
const MAX_TENSORS = 2 ** 20;
/** `crc_num` and ten bytes of CRC32 at the end of files that were saved with a checksum. */
const TRAILER = 'crc_num';
const TRAILER_BYTES = 17;

interface Piece {
  readonly start: number;
  readonly end: number;
}

interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly pieces: Piece[];
}

/**
 * Opens an unencrypted MindSpore checkpoint (`.ckpt`): a sequence of protobuf messages, each with a name, dtype, shape
 * and bytes (`mindspore/ccsrc/utils/checkpoint.proto`). A tensor above 512 MiB is in several of the same name.
 * Names are MindSpore's own: `gamma` and `beta` of norms, `embedding_table`. Closing the result closes `source`.
 */
export async function readMindspore(source: ByteSource): Promise<TensorSource> {
  const tensors = new Map<string, Tensor>();
  for await (const field of protobufFields(source, 0, await endOf(source))) {
    if (field.number !== 1 || !('start' in field)) throw bad(source, 0, 'not a MindSpore checkpoint');
    const value = await readValue(source, field);
    if (!value) continue;
    const known = tensors.get(value.name);
    if (!known) tensors.set(value.name, value.tensor);
    else known.pieces.push(...value.tensor.pieces);
    if (tensors.size > MAX_TENSORS) throw bad(source, field.start, 'too many tensors');
  }
  const entries = new Map([...tensors].map(([name, tensor]) => [name, entryFor(name, tensor, source)]));
  return sourceOf(entries, tensors, source);
}

async function endOf(source: ByteSource): Promise<number> {
  if (source.size < TRAILER_BYTES) return source.size;
  const start = source.size - TRAILER_BYTES;
  const bytes = await readBytes(source, start, TRAILER.length);
  return String.fromCharCode(...bytes) === TRAILER ? start : source.size;
}

async function readValue(
  source: ByteSource,
  { start, end }: Piece,
): Promise<{ name: string; tensor: Tensor } | null> {
  let name = '';
  let tensor: Tensor | null = null;
  for await (const field of protobufFields(source, start, end)) {
    if (!('start' in field)) throw bad(source, start, 'unexpected number in a MindSpore value');
    if (field.number === 1) name = await readName(source, field);
    else if (field.number === 2) tensor = await readTensor(source, field);
    else
      throw bad(source, field.start, 'a kind of MindSpore value that is not read here', String(field.number));
  }
  return tensor && name !== 'random_op' ? { name, tensor } : null;
}

async function readTensor(source: ByteSource, { start, end }: Piece): Promise<Tensor | null> {
  const shape: number[] = [];
  const pieces: Piece[] = [];
  let type = '';
  for await (const field of protobufFields(source, start, end)) {
    if (field.number === 1 && 'value' in field) shape.push(field.value);
    else if (!('start' in field)) throw bad(source, start, 'unexpected number in a MindSpore tensor');
    else if (field.number === 1) shape.push(...(await readPacked(source, field)));
    else if (field.number === 2) type = await readName(source, field);
    else if (field.number === 3) pieces.push(field);
    if (shape.length > 16) throw bad(source, start, 'a tensor has too many dimensions');
  }
  if (type === 'str') return null; // settings of the run
  const dtype = DTYPES[type];
  if (!dtype) throw bad(source, start, 'unknown dtype', show(type));
  return { dtype, shape, pieces };
}

async function readPacked(source: ByteSource, { start, end }: Piece): Promise<number[]> {
  if (end - start > 160) throw bad(source, start, 'a tensor has too many dimensions');
  const bytes = await readBytes(source, start, end - start);
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = varint(bytes, at);
    if (!next) throw bad(source, start, 'a dimension is cut off');
    values.push(next[0]);
    at += next[1];
  }
  return values;
}

async function readName(source: ByteSource, { start, end }: Piece): Promise<string> {
  if (end - start > MAX_NAME_BYTES) throw bad(source, start, 'a name is too long', `${end - start} bytes`);
  return decodeUtf8(await readBytes(source, start, end - start), source.name, start);
}

function entryFor(name: string, { dtype, shape, pieces }: Tensor, source: ByteSource): TensorEntry {
  const byteLength = byteLengthOf(dtype, shape);
  const held = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  const at = pieces[0]?.start ?? 0;
  if (byteLength !== held) {
    throw new CheckpointFormatError({
      file: source.name,
      offset: at,
      what: `tensor ${show(name)} has the wrong length`,
      got: `${held} bytes`,
      expected: `${byteLength ?? 'fewer'} for ${dtype} [${shape}]`,
    });
  }
  return { name, dtype, shape, byteOffset: at, byteLength: held, file: source.name };
}

function sourceOf(
  entries: ReadonlyMap<string, TensorEntry>,
  tensors: ReadonlyMap<string, Tensor>,
  source: ByteSource,
): TensorSource {
  const readRange = async (name: string, byteOffset: number, byteLength: number) => {
    const entry = entryOf({ entries }, name);
    if (!(byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= entry.byteLength)) {
      throw new CheckpointError({ where: entry.file, what: `range outside of tensor ${show(name)}` });
    }
    const result = new Uint8Array(byteLength);
    let position = 0;
    for (const { start, end } of (tensors.get(name) as Tensor).pieces) {
      const from = Math.max(byteOffset, position);
      const to = Math.min(byteOffset + byteLength, position + end - start);
      if (from < to)
        await source.readInto(result.subarray(from - byteOffset, to - byteOffset), start + from - position);
      position += end - start;
    }
    return result;
  };
  return {
    format: 'mindspore',
    entries,
    metadata: new Map(),
    read: (name) => readRange(name, 0, entries.get(name)?.byteLength ?? 0),
    readRange,
    close: () => source.close(),
  };
}

function bad(source: ByteSource, offset: number, what: string, got?: string): CheckpointFormatError {
  return new CheckpointFormatError({ file: source.name, offset, what, ...(got !== undefined && { got }) });
}
