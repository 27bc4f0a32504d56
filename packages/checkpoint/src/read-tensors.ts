import type { ByteSource } from './byte-source.js';
import { isGguf, readGguf } from './gguf/reader.js';
import { readSafetensors } from './safetensors/reader.js';
import type { TensorSource } from './tensor-source.js';

/** Opens one file of tensors, safetensors or GGUF, by what is in it. Closing the result closes `source`. */
export async function readTensors(source: ByteSource): Promise<TensorSource> {
  return (await isGguf(source)) ? readGguf(source) : readSafetensors(source);
}
