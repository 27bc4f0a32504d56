import type { Backend, TensorView } from '@frugal/tensor-core';
import { columnWeights, packedFormat } from '@frugal/tensor-core/formats';
import type { CpuStorage } from './memory.js';
import { contiguousView } from './views.js';

/** Numbers of `Kind` in native/kernels/super-blocks.cpp. */
const kinds = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k'];

const COLUMNS = 256;
/** Super-blocks that one thread takes at a time. */
const CHUNK = 16;

/** Runs a native kernel by its name. */
type Run = (
  kernel: string,
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: readonly number[],
) => void;

/** f32 [rows, columns] as a ggml type of super-blocks; null for other formats, and for values that are not finite. */
export function packSuperBlocks(
  backend: Backend,
  run: Run,
  { format, values, columns }: { format: string; values: Float32Array; columns: number },
  importance: Float32Array | undefined,
): Uint8Array | null {
  const kind = kinds.indexOf(format);
  const blocks = values.length / COLUMNS;
  if (kind < 0 || columns % COLUMNS !== 0 || blocks === 0) return null;
  const rowBytes = packedFormat(format).parts(1, columns)[0].shape[1];
  const byteLength = (rowBytes / (columns / COLUMNS)) * blocks;
  const weights = importance ? columnWeights(format, importance, columns) : new Float32Array(0);
  const chunks = Math.ceil(blocks / CHUNK);
  const storages = [upload(backend, values), upload(backend, weights)];
  storages.push(backend.allocate(byteLength), backend.allocate(chunks * 4));
  const [input, weight, output, strange] = storages;
  run(
    'packSuperBlocks',
    [contiguousView([blocks, COLUMNS], 'f32', input), contiguousView([weights.length], 'f32', weight)],
    [contiguousView([byteLength], 'u8', output), contiguousView([chunks], 'i32', strange)],
    [kind],
  );
  const bytesOf = (storage: unknown, length: number) => (storage as CpuStorage).bytes(0, length);
  const allFinite = bytesOf(strange, chunks * 4).every((byte) => byte === 0);
  const packed = allFinite ? bytesOf(output, byteLength).slice() : null;
  for (const storage of storages) backend.free(storage);
  return packed;
}

function upload(backend: Backend, { buffer, byteOffset, byteLength }: Float32Array) {
  return backend.upload(new Uint8Array(buffer, byteOffset, byteLength));
}
