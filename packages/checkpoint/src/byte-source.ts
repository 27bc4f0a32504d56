import { CheckpointError, CheckpointFormatError, messageOf } from './errors.js';

/**
 * Random access to the bytes of one file, wherever it lives. Sizes and offsets are plain numbers, exact to 2^53.
 * Implementations: {@link bytesSource}, {@link blobSource}, and `openFileSource` on Node.
 */
export interface ByteSource {
  /** What to call it in errors: a path or a label. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Fills `target` from `offset` on. Throws {@link CheckpointFormatError} when the file ends before. */
  readInto(target: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}

/** A file that is already in memory. The bytes are not copied: do not change them while the source is in use. */
export function bytesSource(bytes: Uint8Array | ArrayBuffer, name = 'bytes'): ByteSource {
  const data = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  return {
    name,
    size: data.byteLength,
    async readInto(target, offset) {
      checkRange(name, data.byteLength, offset, target.byteLength);
      target.set(data.subarray(offset, offset + target.byteLength));
    },
    async close() {},
  };
}

/** A `Blob` or `File` of a browser (or Node): only the ranges asked for are read. */
export function blobSource(blob: Blob, name = (blob as { name?: string }).name ?? 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    async readInto(target, offset) {
      checkRange(name, blob.size, offset, target.byteLength);
      target.set(new Uint8Array(await blob.slice(offset, offset + target.byteLength).arrayBuffer()));
    },
    async close() {},
  };
}

/** Reads a range into fresh memory that starts at an 8-byte boundary, so that any typed array can view it. */
export async function readBytes(
  source: ByteSource,
  offset: number,
  byteLength: number,
): Promise<Uint8Array<ArrayBuffer>> {
  checkRange(source.name, source.size, offset, byteLength); // before allocating: a hostile length must not reserve memory
  const target = allocate(source.name, byteLength);
  await source.readInto(target, offset);
  return target;
}

function allocate(name: string, byteLength: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(byteLength);
  } catch (cause) {
    throw new CheckpointError({
      where: name,
      what: `cannot hold ${byteLength} bytes in one array (${messageOf(cause)})`,
      hint: 'Read the tensor in parts with readRange.',
      cause,
    });
  }
}

/** Throws {@link CheckpointFormatError} unless [offset, offset + byteLength) lies inside a file of `size` bytes. */
export function checkRange(name: string, size: number, offset: number, byteLength: number): void {
  const whole =
    Number.isSafeInteger(offset) && Number.isSafeInteger(byteLength) && offset >= 0 && byteLength >= 0;
  if (whole && offset + byteLength <= size) return;
  throw new CheckpointFormatError({
    file: name,
    offset: Number.isSafeInteger(offset) ? offset : undefined,
    what: 'the file is too short for what it should hold',
    got: `a read of ${byteLength} bytes in a file of ${size} bytes`,
    hint: 'The file is truncated or damaged: fetch it again.',
  });
}
