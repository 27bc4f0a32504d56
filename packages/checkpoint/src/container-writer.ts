import { type FileHandle, open, rm } from 'node:fs/promises';
import type { LayoutTensors } from './container.js';
import { writeFully } from './disk.js';
import { pumpBytes, type TensorInput, type TensorInputs } from './tensor-input.js';

/** Writes a file of tensors, asking for one tensor after the other in the order given. */
export async function writeContainer(
  path: string,
  tensors: readonly TensorInput[],
  layoutTensors: LayoutTensors,
): Promise<void> {
  const { header, offsets, byteLength } = layoutTensors(tensors);
  const handle = await open(path, 'w');
  try {
    await handle.truncate(byteLength);
    await writeFully(handle, header, 0);
    for (const tensor of tensors) {
      const start = offsets.get(tensor.name)!;
      await pumpBytes(tensor, (bytes, position) => writeFully(handle, bytes, start + position));
    }
  } finally {
    await handle.close();
  }
}

/** {@link writeContainer} for tensors that may come one at a time. */
export async function writeTensorFile(
  path: string,
  tensors: TensorInputs,
  layoutTensors: LayoutTensors,
): Promise<void> {
  const spool = arriveOneByOne(tensors) ? new Spool(`${path}.spool`) : undefined;
  try {
    const list: TensorInput[] = [];
    for await (const tensor of tensors) list.push(spool ? await spool.add(tensor) : tensor);
    await writeContainer(path, list, layoutTensors);
  } finally {
    await spool?.close();
  }
}

/** Whether tensors come one at a time, so that shapes of later ones are not known yet. */
export function arriveOneByOne(tensors: TensorInputs): tensors is AsyncIterable<TensorInput> {
  return Symbol.asyncIterator in tensors;
}

/** Keeps tensors on disk until the file they belong to can be laid out. */
export class Spool {
  private handle: FileHandle | undefined;
  private position = 0;

  constructor(private readonly path: string) {}

  /** Writes the tensor down and returns one that reads it back in pieces. */
  async add(tensor: TensorInput): Promise<TensorInput> {
    this.handle ??= await open(this.path, 'w+');
    const { handle, position: start } = this;
    let byteLength = 0;
    await pumpBytes(tensor, async (bytes, position) => {
      await writeFully(handle, bytes, start + position);
      byteLength = position + bytes.byteLength;
    });
    this.position += byteLength;
    const { name, dtype, shape } = tensor;
    return { name, dtype, shape, bytes: () => readPieces(handle, start, byteLength) };
  }

  /** Forgets all tensors. */
  async clear(): Promise<void> {
    await this.handle?.truncate(0);
    this.position = 0;
  }

  /** Removes the file. */
  async close(): Promise<void> {
    if (!this.handle) return;
    await this.handle.close();
    await rm(this.path, { force: true });
  }
}

const PIECE_BYTES = 8 * 2 ** 20;

async function* readPieces(
  handle: FileHandle,
  start: number,
  byteLength: number,
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < byteLength; ) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength - offset));
    const { bytesRead } = await handle.read(piece, 0, piece.byteLength, start + offset);
    if (bytesRead === 0) throw new Error(`the spool file ended ${byteLength - offset} bytes early`);
    yield piece.subarray(0, bytesRead);
    offset += bytesRead;
  }
}
