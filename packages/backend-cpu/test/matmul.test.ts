import { cpuBackend } from '@frugal/backend-cpu';
import { fromBytes, Random, type Tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

/** Largest error of a product against f64 sums, relative to the size of what was added up. */
function largestError(
  c: Float32Array,
  a: Float32Array,
  b: Float32Array,
  [M, K, N]: readonly number[],
): number {
  let worst = 0;
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      let size = 1;
      for (let k = 0; k < K; k++) {
        const term = a[i * K + k] * b[k * N + j];
        sum += term;
        size += Math.abs(term);
      }
      worst = Math.max(worst, Math.abs(c[i * N + j] - sum) / size);
    }
  }
  return worst;
}

const sizes = [
  ...[1, 2, 9, 10, 11, 63, 65].map((M) => [M, 37, 33]),
  ...[1, 15, 16, 17, 255, 257, 513].map((K) => [7, K, 40]),
  ...[1, 15, 31, 32, 33, 64, 65, 513].map((N) => [70, 19, N]),
  [121, 300, 97],
];

const bounds = { f32: 1e-6, bf16: 2 ** -8, f16: 2 ** -10 } as const;

for (const isa of testedIsas) {
  describe.each(Object.entries(bounds) as [keyof typeof bounds, number][])(`${isa}, %s`, (dtype, bound) => {
    it.each(sizes)('[%i, %i] x [.., %i] in all four orders', async (M, K, N) => {
      const backend = cpuBackend({ isa, threads: 2, minimumWork: 0 });
      const random = new Random(M * 1000 + K * 10 + N);
      const a = random.normal([M, K], { backend, dtype });
      const b = random.normal([K, N], { backend, dtype });
      const flipped = async (x: Tensor) =>
        fromBytes(await x.transpose().bytes(), {
          shape: [x.shape[1], x.shape[0]],
          dtype,
          backend,
        }).transpose();
      const [plainA, plainB] = [await a.toFloat32(), await b.toFloat32()];
      const [otherA, otherB] = [await flipped(a), await flipped(b)];
      const products = [a.matmul(b), a.matmul(otherB), otherA.matmul(b), otherA.matmul(otherB)];
      const values = await Promise.all(products.map((product) => product.toFloat32()));
      expect(largestError(values[0], plainA, plainB, [M, K, N])).toBeLessThan(bound);
      const bits = values.map((each) => Buffer.from(each.buffer));
      expect(bits.map((each) => each.equals(bits[0]))).toEqual([true, true, true, true]);
    });
  });
}
