import { containerBytes } from '../container.js';
import type { TensorInput } from '../tensor-input.js';
import { layoutSafetensors } from './layout.js';

/** A whole safetensors file in memory; for files on disk see `saveSafetensors`. */
export async function serializeSafetensors(
  tensors: Iterable<TensorInput>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return containerBytes([...tensors], (list) => layoutSafetensors(list, metadata));
}
