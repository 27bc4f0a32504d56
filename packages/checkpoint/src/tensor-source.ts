import type { ByteSource } from './byte-source.js';
import { readBytes } from './byte-source.js';
import type { DType } from './dtypes.js';
import { CheckpointError, show } from './errors.js';

/** Where one stored tensor lies. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  /** Row-major, slowest axis first (GGUF stores it reversed; this is the order of PyTorch and Hugging Face). */
  readonly shape: readonly number[];
  /** First byte, counted from the start of `file`: what a memory mapping needs. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Path (or label) of the file that holds it. */
  readonly file: string;
  /** Made from other tensors when it is read: `byteOffset` then is no place where its bytes lie. */
  readonly isComputed?: boolean;
}

/** A value of a file's metadata. Long lists of numbers are typed arrays; integers beyond 2^53 are bigint. */
export type MetadataValue = string | number | bigint | boolean | MetadataList;
/** A list in a file's metadata (GGUF only). */
export type MetadataList =
  | readonly MetadataValue[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** Tensors by name, whatever the file format: one safetensors file, a sharded directory, a GGUF file. */
export interface TensorSource {
  readonly format: 'safetensors' | 'gguf' | 'mindspore' | 'paddle';
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /**
   * The bytes of a tensor in fresh memory that any typed array can view.
   * Throws {@link CheckpointError} for an unknown name, CheckpointFormatError when the file is too short.
   */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Part of a tensor's bytes; `byteOffset` counts from the start of the tensor. For tensors larger than memory. */
  readRange(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Closes the files. Reads after that fail. */
  close(): Promise<void>;
}

/** The entry of a tensor. Throws {@link CheckpointError} that names similar tensors when there is none. */
export function entryOf(source: Pick<TensorSource, 'entries'>, name: string): TensorEntry {
  const entry = source.entries.get(name);
  if (entry) return entry;
  const last = name.split('.').at(-2) ?? name;
  const similar = [...source.entries.keys()].filter((other) => other.includes(last)).slice(0, 3);
  throw new CheckpointError({
    where: source.entries.values().next().value?.file ?? 'tensors',
    what: `no tensor ${show(name)} among ${source.entries.size}`,
    hint: similar.length > 0 ? `Similar: ${similar.join(', ')}.` : undefined,
  });
}

/** A TensorSource over files whose entries are known; `fileOf` maps an entry to its bytes. */
export function tensorSourceOf(
  format: TensorSource['format'],
  entries: ReadonlyMap<string, TensorEntry>,
  metadata: ReadonlyMap<string, MetadataValue>,
  files: ReadonlyMap<string, ByteSource>,
): TensorSource {
  const readRange = async (name: string, byteOffset: number, byteLength: number) => {
    const entry = entryOf({ entries }, name);
    const end = byteOffset + byteLength;
    if (!(byteOffset >= 0 && byteLength >= 0 && end <= entry.byteLength)) {
      throw new CheckpointError({
        where: entry.file,
        what: `range outside of tensor ${show(name)}`,
        got: `[${byteOffset}, ${end})`,
        expected: `a part of [0, ${entry.byteLength})`,
      });
    }
    return readBytes(files.get(entry.file)!, entry.byteOffset + byteOffset, byteLength);
  };
  return {
    format,
    entries,
    metadata,
    read: (name) => readRange(name, 0, entries.get(name)?.byteLength ?? 0),
    readRange,
    async close() {
      await Promise.all([...files.values()].map((file) => file.close()));
    },
  };
}
