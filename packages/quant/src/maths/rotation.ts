import { ArgumentError, Random, referenceBackend } from '@frugal/tensor-core';
import { kronecker, normalizedHadamard, type SquareMatrix, splitSize } from '@frugal/tensor-core/formats';
import { qr } from '@frugal/tensor-core/linalg';

/**
 * A random orthogonal matrix whose entries are all of about the same size, row-major [size, size]: the Kronecker
 * product of Hadamard matrices, for any size that has them (576 = 12 · 12 · 4), times random signs per row. What is
 * left of the size beyond known Hadamard orders becomes a random orthogonal factor. Spreads outliers evenly over all
 * columns (QuaRot, Ashkboos et al. 2024, arXiv:2404.00456).
 */
export async function rotationMatrix(size: number, seed: number): Promise<Float32Array> {
  if (!(Number.isInteger(size) && size > 0)) {
    throw new ArgumentError({ where: 'rotationMatrix', what: 'not a size', got: String(size) });
  }
  const random = new Random(seed);
  const { hadamard, rest } = splitSize(size);
  let matrix: SquareMatrix =
    rest > 1 ? await randomOrthogonal(rest, random) : { size: 1, values: Float64Array.of(1) };
  for (const order of hadamard) matrix = kronecker(matrix, normalizedHadamard(order));
  const draws = random.uniform([size], { backend: referenceBackend() });
  const signs = (await draws.toFloat32()).map((draw) => (draw < 0.5 ? -1 : 1));
  draws.dispose();
  return Float32Array.from(matrix.values, (value, i) => value * signs[Math.floor(i / size)]);
}

async function randomOrthogonal(size: number, random: Random): Promise<SquareMatrix> {
  const draws = random.normal([size, size], { backend: referenceBackend() });
  const { q } = qr(await draws.toFloat32(), size, size);
  draws.dispose();
  return { size, values: q };
}
