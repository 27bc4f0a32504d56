import type { ByteSource } from '../byte-source.js';
import { readBytes } from '../byte-source.js';
import { type TensorEntry, type TensorSource, tensorSourceOf } from '../tensor-source.js';
import { LENGTH_BYTES, parseHeader, parseHeaderLength } from './header.js';

/**
 * Opens one safetensors file. The header is read and checked whole; tensors are read on demand.
 * Throws CheckpointFormatError for anything that is not a valid file. Closing the result closes `source`.
 */
export async function readSafetensors(source: ByteSource): Promise<TensorSource> {
  const { entries, metadata } = await readEntries(source);
  return tensorSourceOf('safetensors', entries, metadata, new Map([[source.name, source]]));
}

/** Entries and metadata of one safetensors file. */
export async function readEntries(
  source: ByteSource,
): Promise<{ entries: Map<string, TensorEntry>; metadata: Map<string, string> }> {
  const file = source.name;
  const length = parseHeaderLength(await readBytes(source, 0, LENGTH_BYTES), source.size, file);
  const dataStart = LENGTH_BYTES + length;
  const bytes = await readBytes(source, LENGTH_BYTES, length);
  const { tensors, metadata } = parseHeader(bytes, source.size - dataStart, file);
  const entries = new Map<string, TensorEntry>();
  for (const { name, dtype, shape, start, end } of tensors) {
    entries.set(name, { name, dtype, shape, byteOffset: dataStart + start, byteLength: end - start, file });
  }
  return { entries, metadata };
}
