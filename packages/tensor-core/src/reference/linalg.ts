import { defineKernels } from './kernels.js';
import { readFloats, writeFloats } from './values.js';

export const linalgKernels = defineKernels<'cholesky' | 'triangularSolve'>({
  // Column by column; only the lower triangle of the input is read.
  cholesky: ([matrix], [output]) => {
    const a = readFloats(matrix);
    const N = matrix.shape[0];
    const lower = new Float64Array(N * N);
    for (let j = 0; j < N; j++) {
      for (let i = j; i < N; i++) {
        let rest = a[i * N + j];
        for (let k = 0; k < j; k++) rest -= lower[i * N + k] * lower[j * N + k];
        // A pivot that is not positive becomes NaN, and with it everything that depends on it.
        if (i === j) lower[j * N + j] = rest > 0 ? Math.sqrt(rest) : Number.NaN;
        else lower[i * N + j] = rest / lower[j * N + j];
      }
    }
    writeFloats(output, (out) => out.set(lower));
  },

  triangularSolve: ([triangle, right], [output], { transpose }) => {
    const lower = readFloats(triangle);
    const [N, M] = right.shape;
    const x = Float64Array.from(readFloats(right));
    for (let step = 0; step < N; step++) {
      const i = transpose ? N - 1 - step : step;
      for (let m = 0; m < M; m++) {
        let rest = x[i * M + m];
        for (let done = 0; done < step; done++) {
          const k = transpose ? N - 1 - done : done;
          rest -= (transpose ? lower[k * N + i] : lower[i * N + k]) * x[k * M + m];
        }
        x[i * M + m] = rest / lower[i * N + i];
      }
    }
    writeFloats(output, (out) => out.set(x));
  },
});
