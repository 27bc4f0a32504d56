import type { ByteSource } from '../byte-source.js';
import { readBytes } from '../byte-source.js';
import { type TensorSource, tensorSourceOf } from '../tensor-source.js';
import { LENGTH_BYTES, parseHeader, parseHeaderLength, type SafetensorsHeader } from './header.js';

/**
 * Opens one safetensors file. The header is read and checked whole; tensors are read on demand.
 * Throws CheckpointFormatError for anything that is not a valid file. Closing the result closes `source`.
 */
export async function readSafetensors(source: ByteSource): Promise<TensorSource> {
  const { entries, metadata } = await readHeader(source);
  return tensorSourceOf('safetensors', entries, metadata, new Map([[source.name, source]]));
}

/** Reads and checks the header of one safetensors file. */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const length = parseHeaderLength(await readBytes(source, 0, LENGTH_BYTES), source.size, source.name);
  const bytes = await readBytes(source, LENGTH_BYTES, length);
  return parseHeader(bytes, source.size - LENGTH_BYTES - length, source.name);
}
