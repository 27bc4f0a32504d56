import { openFileSource } from './file-source.js';
import { readTensors } from './read-tensors.js';
import type { TensorSource } from './tensor-source.js';

/** Opens one file of tensors on disk, safetensors or GGUF, by what is in it. */
export async function openTensors(path: string): Promise<TensorSource> {
  const source = await openFileSource(path);
  try {
    return await readTensors(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}
