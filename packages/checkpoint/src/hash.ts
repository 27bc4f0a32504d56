import { createHash } from 'node:crypto';
import type { ByteSource } from './byte-source.js';
import { openFileSource } from './file-source.js';
import { inputsOf, pumpBytes } from './tensor-input.js';
import type { TensorSource } from './tensor-source.js';

const CHUNK_BYTES = 2 ** 20;

/** SHA-256 of a file, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const source = await openFileSource(path);
  try {
    return await hashSource(source);
  } finally {
    await source.close();
  }
}

async function hashSource(source: ByteSource): Promise<string> {
  const hash = createHash('sha256');
  for (let offset = 0; offset < source.size; offset += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, source.size - offset));
    await source.readInto(chunk, offset);
    hash.update(chunk);
  }
  return hash.digest('hex');
}

/**
 * SHA-256 of the tensors alone, in hexadecimal: equal for the same names, dtypes, shapes and bytes, however they are
 * spread over files. Defined as the hash over the tensors in order of their names of the line
 * `JSON.stringify([name, dtype, shape])`, a newline, and the bytes.
 */
export async function fingerprint(source: TensorSource): Promise<string> {
  const hash = createHash('sha256');
  const inputs = inputsOf(source).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const input of inputs) {
    hash.update(`${JSON.stringify([input.name, input.dtype, input.shape])}\n`);
    await pumpBytes(input, async (bytes) => void hash.update(bytes));
  }
  return hash.digest('hex');
}
