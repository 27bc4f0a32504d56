import { pumpBytes, type TensorInput } from './tensor-input.js';

/** Where everything goes in a file of tensors: what the file formats differ in. */
export interface ContainerLayout {
  readonly header: Uint8Array;
  /** Position of each tensor in the file, by name. Bytes between tensors are zero. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly byteLength: number;
}

/** Plans a file. Throws CheckpointWriteError when the format cannot hold these tensors. */
export type LayoutTensors = (tensors: readonly TensorInput[]) => ContainerLayout;

/** Builds a whole file in memory. */
export async function containerBytes(
  tensors: readonly TensorInput[],
  layoutTensors: LayoutTensors,
): Promise<Uint8Array<ArrayBuffer>> {
  const { header, offsets, byteLength } = layoutTensors(tensors);
  const file = new Uint8Array(byteLength);
  file.set(header);
  for (const tensor of tensors) {
    const start = offsets.get(tensor.name)!;
    await pumpBytes(tensor, async (bytes, position) => file.set(bytes, start + position));
  }
  return file;
}
