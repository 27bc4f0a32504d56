import type { TensorSource } from '@frugal/checkpoint';

/** Equal beginnings of this length are equal matrices: they are hundreds of rows of a vocabulary. */
const SAMPLE_BYTES = 2 ** 16;

/** How many of the first bytes of two tensors differ, and how many were looked at. */
export async function compareBeginnings(
  tensors: TensorSource,
  one: string,
  other: string,
): Promise<{ readonly sample: number; readonly differing: number }> {
  const lengths = [one, other].map((name) => tensors.entries.get(name)?.byteLength ?? 0);
  const sample = Math.min(SAMPLE_BYTES, ...lengths);
  const [a, b] = [await tensors.readRange(one, 0, sample), await tensors.readRange(other, 0, sample)];
  return { sample, differing: a.reduce((count, byte, i) => count + Number(byte !== b[i]), 0) };
}
