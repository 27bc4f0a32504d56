import type { Backend, TensorView } from '@frugal/tensor-core';
import { columnWeights, packedFormat } from '@frugal/tensor-core/formats';
import type { CpuStorage } from './memory.js';
import { contiguousView } from './views.js';

/** Kernels of block formats; the number of a format is that of `Kind` in native/kernels/super-blocks.cpp and simple-blocks.cpp. */
const packers = [
  { kernel: 'packSuperBlocks', width: 256, kinds: ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k'] },
  { kernel: 'packSimpleBlocks', width: 32, kinds: ['q8_0', 'q4_0', 'q5_0', 'q4_1', 'q5_1', 'iq4_nl'] },
];

/** Values that one thread takes at a time. */
const CHUNK_VALUES = 4096;

/** Runs a native kernel by its name. */
type Run = (
  kernel: string,
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: readonly number[],
) => void;

/** f32 [rows, columns] as a ggml type; null for other formats, and for values that are not finite. */
export function packBlocks(
  backend: Backend,
  run: Run,
  { format, values, columns }: { format: string; values: Float32Array; columns: number },
  importance: Float32Array | undefined,
): Uint8Array | null {
  const packer = packers.find(({ kinds }) => kinds.includes(format));
  if (!packer || columns % packer.width !== 0 || values.length === 0) return null;
  const { kernel, width, kinds } = packer;
  const blocks = values.length / width;
  const rowBytes = packedFormat(format).parts(1, columns)[0].shape[1];
  const byteLength = (rowBytes / (columns / width)) * blocks;
  const weights = importance ? columnWeights(format, importance, columns) : new Float32Array(0);
  const chunks = Math.ceil(values.length / CHUNK_VALUES);
  const storages = [upload(backend, values), upload(backend, weights)];
  storages.push(backend.allocate(byteLength), backend.allocate(chunks * 4));
  const [input, weight, output, strange] = storages;
  run(
    kernel,
    [contiguousView([blocks, width], 'f32', input), contiguousView([weights.length], 'f32', weight)],
    [contiguousView([byteLength], 'u8', output), contiguousView([chunks], 'i32', strange)],
    [kinds.indexOf(format)],
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
