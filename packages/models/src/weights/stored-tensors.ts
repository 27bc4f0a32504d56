import type { Checkpoint, TensorEntry } from '@frugal/checkpoint';
import {
  adoptStorage,
  type Backend,
  bytesPerElement,
  type DType,
  fromBytes,
  fromStorage,
  releaseStorage,
  type Shape,
  type Storage,
  type Tensor,
} from '@frugal/tensor-core';

/** Stored dtypes that tensors can have. */
export const tensorDTypes: Partial<Record<TensorEntry['dtype'], DType>> = {
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
  I8: 'i8',
  U8: 'u8',
  I32: 'i32',
  BOOL: 'bool',
};

/** Smaller tensors are read: one of them would keep a whole mapping alive. */
const SMALL_BYTES = 2 ** 16;

/**
 * Hands out the tensors of a checkpoint: as a view of the mapped file where the backend can map, else read one at a
 * time. Mapped files stay open as long as a tensor uses them.
 */
export class StoredTensors {
  private readonly mappings = new Map<string, Storage>();

  constructor(
    private readonly checkpoint: Checkpoint,
    readonly backend: Backend,
  ) {}

  /** Where a tensor that is known to exist lies. */
  entryOf(name: string): TensorEntry {
    return this.checkpoint.tensors.entries.get(name) as TensorEntry;
  }

  /** The bytes of a tensor, as a tensor of any shape and dtype that they fill. */
  async tensor(name: string, shape: Shape, dtype: DType): Promise<Tensor> {
    const { file, byteOffset, byteLength, isComputed } = this.entryOf(name);
    const storage = isComputed || byteLength < SMALL_BYTES ? null : this.mapping(file);
    // Old safetensors files have headers of any length, so tensors may start anywhere.
    if (storage && byteOffset % bytesPerElement(dtype) === 0)
      return fromStorage(storage, byteOffset, { shape, dtype });
    return fromBytes(await this.checkpoint.tensors.read(name), { shape, dtype, backend: this.backend });
  }

  /** Gives back the memory of a tensor that was mapped and is not needed any more: it lives elsewhere by now. */
  discard(name: string): void {
    const { file, byteOffset, byteLength, isComputed } = this.entryOf(name);
    if (isComputed) return;
    this.mappings.get(file)?.discard?.(byteOffset, byteLength);
  }

  /** {@link tensor} with its rows in another order: row r is `order[r]` of the file. */
  async reordered(name: string, shape: Shape, dtype: DType, order: Int32Array): Promise<Tensor> {
    return fromBytes(await this.readRows(name, order), { shape, dtype, backend: this.backend });
  }

  /** The bytes of a tensor, its rows in another order when there is one. */
  async readRows(name: string, order: Int32Array | null): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.checkpoint.tensors.read(name);
    if (!order) return bytes;
    const rowBytes = bytes.byteLength / order.length;
    const sorted = new Uint8Array(bytes.byteLength);
    order.forEach((source, row) => {
      sorted.set(bytes.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
    });
    return sorted;
  }

  read(name: string): Promise<Uint8Array> {
    return this.checkpoint.tensors.read(name);
  }

  /**
   * To be called when all tensors are out: lets go of the mappings, and makes sure that they were of the version that
   * was opened. @throws CheckpointChangedError when the checkpoint was replaced meanwhile
   */
  async finish(): Promise<void> {
    for (const storage of this.mappings.values()) releaseStorage(storage);
    const mapped = this.mappings.size > 0;
    this.mappings.clear();
    if (mapped && this.checkpoint.kind === 'directory') await this.checkpoint.readFile('config.json');
  }

  private mapping(file: string): Storage | null {
    if (!this.backend.mapFile) return null;
    let storage = this.mappings.get(file);
    if (!storage) {
      storage = adoptStorage(this.backend.mapFile(file));
      this.mappings.set(file, storage);
    }
    return storage;
  }
}
