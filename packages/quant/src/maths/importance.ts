import type { Stats } from '@frugal/compress';

/**
 * f32 [columns]: the mean squared activation that each column of a layer meets, what llama.cpp calls an importance
 * matrix; null for a layer that no calibration row reaches, such as an expert that was never chosen.
 */
export async function importanceOf({ squares, count = 0 }: Stats): Promise<Float32Array | null> {
  if (!squares || count === 0) return null;
  const sums = await squares.toFloat32();
  return sums.some((sum) => sum > 0) ? sums.map((sum) => sum / count) : null;
}
