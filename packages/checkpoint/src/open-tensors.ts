import { openFileSource } from './file-source.js';
import { withAllParts } from './gguf/parts.js';
import type { GgufSource } from './gguf/reader.js';
import { readTensors } from './read-tensors.js';
import type { TensorSource } from './tensor-source.js';

/** Opens a file of tensors on disk, safetensors or GGUF, by what is in it; of a split GGUF model all files. */
export async function openTensors(path: string): Promise<TensorSource> {
  const source = await openFileSource(path);
  try {
    const tensors = await readTensors(source);
    return tensors.format === 'gguf'
      ? await withAllParts(tensors as GgufSource, source, openFileSource)
      : tensors;
  } catch (error) {
    await source.close();
    throw error;
  }
}
