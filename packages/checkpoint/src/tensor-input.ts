import { byteLengthOf, type DType, isDType } from './dtypes.js';
import { CheckpointWriteError, show } from './errors.js';
import type { TensorSource } from './tensor-source.js';

/** The bytes of a tensor, whole or in consecutive chunks. Little-endian, row-major. */
export type TensorBytes = Uint8Array | AsyncIterable<Uint8Array>;

/** A tensor to be written. */
export interface TensorInput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Called once, when the tensor's turn has come; its result is not kept. */
  bytes(): TensorBytes | Promise<TensorBytes>;
}

/**
 * Tensors to be written, in the order in which they can be had. A list costs one pass. An async iterable is for
 * tensors that exist one at a time: each is written to disk before the next is asked for, and copied into place
 * when all shapes are known.
 */
export type TensorInputs = Iterable<TensorInput> | AsyncIterable<TensorInput>;

/** Largest piece that is held in memory when tensors are copied. */
const CHUNK_BYTES = 8 * 2 ** 20;

/** Bytes of a tensor to be written. Throws {@link CheckpointWriteError} for a bad name, dtype or shape. */
export function inputByteLength({ name, dtype, shape }: Omit<TensorInput, 'bytes'>): number {
  const where = `tensor ${show(name)}`;
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
    throw new CheckpointWriteError({
      where,
      what: 'bad tensor name',
      expected: 'a non-empty Unicode string',
    });
  }
  if (!isDType(dtype)) throw new CheckpointWriteError({ where, what: 'unknown dtype', got: show(dtype) });
  const byteLength = byteLengthOf(dtype, shape);
  if (byteLength !== undefined) return byteLength;
  throw new CheckpointWriteError({ where, what: `impossible shape for ${dtype}`, got: `[${shape}]` });
}

/** Hands the bytes of `input` to `write` with their position in the tensor, and checks that all of them came. */
export async function pumpBytes(
  input: TensorInput,
  write: (bytes: Uint8Array, position: number) => Promise<void>,
): Promise<void> {
  const expected = inputByteLength(input);
  let position = 0;
  const accept = async (chunk: Uint8Array) => {
    if (position + chunk.byteLength <= expected) await write(chunk, position);
    position += chunk.byteLength;
  };
  const bytes = await input.bytes();
  if (bytes instanceof Uint8Array) await accept(bytes);
  else for await (const chunk of bytes) await accept(chunk);
  if (position === expected) return;
  throw new CheckpointWriteError({
    where: `tensor ${show(input.name)}`,
    what: 'wrong number of bytes',
    got: String(position),
    expected: `${expected} for ${input.dtype} [${input.shape}]`,
  });
}

/** A tensor that is already in memory, from any typed array. */
export function tensorInput(
  name: string,
  dtype: DType,
  shape: readonly number[],
  values: ArrayBufferView,
): TensorInput {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, dtype, shape, bytes: () => bytes };
}

/** All tensors of a source, read in pieces when their turn comes: for copies and conversions of any size. */
export function inputsOf(source: TensorSource): TensorInput[] {
  return [...source.entries.values()].map(({ name, dtype, shape, byteLength }) => ({
    name,
    dtype,
    shape,
    bytes: () => readChunks(source, name, byteLength),
  }));
}

async function* readChunks(
  source: TensorSource,
  name: string,
  byteLength: number,
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < byteLength; offset += CHUNK_BYTES) {
    yield await source.readRange(name, offset, Math.min(CHUNK_BYTES, byteLength - offset));
  }
}
