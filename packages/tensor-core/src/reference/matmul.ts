import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { readBroadcast, writeFloats, writeNumbers } from './values.js';

/** A row-major matrix inside a longer array. */
export interface Matrix {
  readonly values: Float32Array | Float64Array;
  readonly start: number;
}

/**
 * out [M, N] = a [M, K] · bᵀ with b [N, K]: both operands are read along rows. Sums run over k in order, in f64, so
 * an output element does not depend on the other rows.
 */
export function multiplyTransposed(a: Matrix, b: Matrix, out: Matrix, M: number, N: number, K: number): void {
  const [x, y, z] = [a.values, b.values, out.values];
  const wholeColumns = N - (N % 4);
  for (let m = 0; m < M; m++) {
    const from = a.start + m * K;
    const to = out.start + m * N;
    for (let n = 0; n < wholeColumns; n += 4) {
      const b0 = b.start + n * K;
      const b1 = b0 + K;
      const b2 = b1 + K;
      const b3 = b2 + K;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let k = 0; k < K; k++) {
        const value = x[from + k];
        s0 += value * y[b0 + k];
        s1 += value * y[b1 + k];
        s2 += value * y[b2 + k];
        s3 += value * y[b3 + k];
      }
      z[to + n] = s0;
      z[to + n + 1] = s1;
      z[to + n + 2] = s2;
      z[to + n + 3] = s3;
    }
    for (let n = wholeColumns; n < N; n++) {
      const row = b.start + n * K;
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[from + k] * y[row + k];
      z[to + n] = sum;
    }
  }
}

export const matmulKernels = defineKernels<'matmul' | 'integerMatmul'>({
  matmul: ([a, b], [output]) => {
    const [M, N] = output.shape.slice(-2);
    const K = a.shape[a.shape.length - 1];
    const batch = output.shape.slice(0, -2);
    const left = readBroadcast(a, [...batch, M, K]) as Float32Array;
    const rank = b.shape.length;
    const swap = <T>(list: readonly T[]) => [...list.slice(0, rank - 2), list[rank - 1], list[rank - 2]];
    const flipped = { ...b, shape: swap(b.shape), strides: swap(b.strides) };
    // A matrix shared by all batches is read once.
    const shared = rank === 2;
    const right = readBroadcast(flipped, shared ? [N, K] : [...batch, N, K]) as Float32Array;
    writeFloats(output, (out) => {
      const rows = shared ? sizeOf(batch) * M : M;
      for (let i = 0; i * rows * N < out.length; i++) {
        multiplyTransposed(
          { values: left, start: i * rows * K },
          { values: right, start: i * N * K },
          { values: out, start: i * rows * N },
          rows,
          N,
          K,
        );
      }
    });
  },

  integerMatmul: ([a, b], [output]) => {
    const [M, N] = output.shape.slice(-2);
    const K = a.shape[a.shape.length - 1];
    const batch = output.shape.slice(0, -2);
    const [left, right] = [readBroadcast(a, [...batch, M, K]), readBroadcast(b, [...batch, N, K])];
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) {
        const x = Math.floor(i / N) * K;
        const y = (Math.floor(i / (M * N)) * N + (i % N)) * K;
        let sum = 0;
        for (let k = 0; k < K; k++) sum += left[x + k] * right[y + k];
        out[i] = sum; // wraps
      }
    });
  },
});
