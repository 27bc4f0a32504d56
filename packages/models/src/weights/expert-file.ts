import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  adoptStorage,
  type Backend,
  fromStorage,
  releaseStorage,
  type Shape,
  type Tensor,
} from '@frugal/tensor-core';

/** Weights begin at whole pages, so that one can leave memory without touching its neighbours. */
const PAGE_BYTES = 4096;

/** Where a tensor lies in the file. */
interface Place extends Pick<Tensor, 'dtype'> {
  readonly shape: Shape;
  readonly start: number;
}

/**
 * Experts in the layout that kernels read, in a temporary file: what a checkpoint holds would have to be converted each
 * time that an expert is wanted. The file has no name while it is mapped, so that it goes with the process.
 */
export class ExpertFile {
  private end = 0;

  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  /** @param folder on a disk, not in memory; default: the folder of the system for temporary files */
  static async create(folder = tmpdir()): Promise<ExpertFile> {
    await mkdir(folder, { recursive: true });
    const path = join(folder, `frugal-experts-${randomUUID()}`);
    return new ExpertFile(path, await open(path, 'wx', 0o600));
  }

  /** Writes a tensor, which stays the caller's. */
  async add(tensor: Tensor): Promise<Place> {
    const { shape, dtype } = tensor;
    const start = this.end;
    const bytes = await tensor.bytes();
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, start + done);
      done += bytesWritten;
    }
    this.end = Math.ceil((start + bytes.byteLength) / PAGE_BYTES) * PAGE_BYTES;
    return { shape, dtype, start };
  }

  /** The tensors at all places, of a file that nobody else can see any more. */
  async map(backend: Backend, places: readonly Place[]): Promise<Tensor[]> {
    await this.handle.truncate(this.end);
    await this.handle.datasync(); // pages that are not written yet cannot leave memory
    const storage = adoptStorage(backend.mapFile!(this.path));
    await this.close();
    const tensors = places.map(({ start, ...info }) => fromStorage(storage, start, info));
    releaseStorage(storage);
    return tensors;
  }

  async close(): Promise<void> {
    await this.handle.close();
    await rm(this.path, { force: true });
  }
}
