import { fill, numbers } from '../views.js';
import type { Family } from './machine.js';

export const linalgKernels: Family<'cholesky' | 'triangularSolve'> = () => ({
  // Row by row; only the lower triangle of the input is read.
  cholesky: ([matrix], [output]) => {
    const a = numbers(matrix);
    const [N] = matrix.shape;
    const lower = new Float64Array(N * N);
    for (let i = 0; i < N; i++) {
      for (let j = 0; j <= i; j++) {
        let rest = a[i * N + j];
        for (let k = 0; k < j; k++) rest -= lower[i * N + k] * lower[j * N + k];
        if (i > j) lower[i * N + j] = rest / lower[j * N + j];
        else lower[i * N + i] = rest > 0 ? Math.sqrt(rest) : Number.NaN;
      }
    }
    fill(output, (out) => out.set(lower));
  },

  // From the first row down, or with the transpose from the last row up.
  triangularSolve: ([triangle, right], [output], { transpose }) => {
    const lower = numbers(triangle);
    const [N, M] = right.shape;
    const x = Float64Array.from(numbers(right));
    const rows = Array.from({ length: N }, (_, i) => (transpose ? N - 1 - i : i));
    for (const [done, i] of rows.entries()) {
      for (let m = 0; m < M; m++) {
        let rest = x[i * M + m];
        for (const k of rows.slice(0, done)) rest -= lower[transpose ? k * N + i : i * N + k] * x[k * M + m];
        x[i * M + m] = rest / lower[i * N + i];
      }
    }
    fill(output, (out) => out.set(x));
  },
});
