import { containerBytes } from '../container.js';
import type { TensorInput } from '../tensor-input.js';
import { type GgufFields, layoutGguf } from './layout.js';

/** A whole GGUF file in memory; for files on disk see `saveGguf`. */
export async function serializeGguf(
  tensors: Iterable<TensorInput>,
  fields: GgufFields,
): Promise<Uint8Array<ArrayBuffer>> {
  return containerBytes([...tensors], (list) => layoutGguf(list, fields));
}
