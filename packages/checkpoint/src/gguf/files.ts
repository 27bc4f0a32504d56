import { writeTensorFile } from '../container-writer.js';
import { openFileSource } from '../file-source.js';
import { saveFile } from '../save/file.js';
import type { TensorInputs } from '../tensor-input.js';
import { type GgufFields, layoutGguf } from './layout.js';
import { withAllParts } from './parts.js';
import { type GgufSource, readGguf } from './reader.js';

/** Opens a GGUF file on disk; of a model split over several files all, whichever is named. */
export async function openGguf(path: string): Promise<GgufSource> {
  const source = await openFileSource(path);
  try {
    return await withAllParts(await readGguf(source), source, openFileSource);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Writes a GGUF file (version 3) atomically. Memory: one tensor, or one chunk of it.
 * Throws CheckpointWriteError for what the format cannot hold and when the disk refuses.
 */
export async function saveGguf(path: string, tensors: TensorInputs, fields: GgufFields): Promise<void> {
  await saveFile(path, (temporary) =>
    writeTensorFile(temporary, tensors, (list) => layoutGguf(list, fields)),
  );
}
