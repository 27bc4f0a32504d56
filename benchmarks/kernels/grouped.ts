import { Random, run, type Tensor, tensor } from '@frugal/tensor-core';
import type { KernelCase, KernelFamily } from './case.js';

/** Experts of a mixture: T tokens, each to k of E experts, C channels, F inner ones. */
const [T, k, E, C, F] = [2048, 8, 64, 512, 256];
const ROWS = T * k;

/** Rows of each expert: all the same, or falling as 1 / rank (Zipf). */
function offsets(kind: 'balanced' | 'Zipf'): Int32Array {
  const weight = (rank: number) => (kind === 'balanced' ? 1 : 1 / (rank + 1));
  const all = Array.from({ length: E }, (_, e) => weight(e)).reduce((a, b) => a + b);
  const ends = new Int32Array(E + 1);
  let sum = 0;
  for (let e = 0; e < E; e++) {
    sum += weight(e);
    ends[e + 1] = Math.round((ROWS * sum) / all);
  }
  return ends;
}

/** Forward and both gradients of one expert matrix over all rows; `dense` is one matrix for all, the same work. */
function experts(kind: 'balanced' | 'Zipf' | 'dense', dtype: 'f32' | 'bf16', threads: number): KernelCase {
  const width = dtype === 'f32' ? 4 : 2;
  return {
    name: `experts ${dtype} ${kind}`,
    threads,
    operations: 6 * ROWS * C * F,
    bytes: 3 * width * (ROWS * (C + F) + (kind === 'dense' ? 1 : E) * C * F),
    bound: dtype,
    prepare: (backend) => {
      const random = new Random(1);
      const draw = (...shape: number[]): Tensor => random.normal(shape, { backend }).cast(dtype);
      const [x, g] = [draw(ROWS, C), draw(ROWS, F)];
      if (kind === 'dense') {
        const weight = draw(C, F);
        const dense = () => {
          x.matmul(weight);
          g.matmul(weight.transpose());
          x.transpose().matmul(g);
        };
        return { inputs: [x, g, weight], run: dense };
      }
      const weight = draw(E, C, F);
      const starts = tensor(offsets(kind), { backend });
      const grouped = () => {
        run('groupedMatmul', [x, weight, starts], { transposeWeight: false });
        run('groupedMatmul', [g, weight, starts], { transposeWeight: true });
        run('groupedMatmulWeightGradient', [x, g, starts], { groups: E });
      };
      return { inputs: [x, g, weight, starts], run: grouped };
    },
    peers: [],
  };
}

export const groupedFamily: KernelFamily = {
  name: 'grouped',
  cases: (['f32', 'bf16'] as const).flatMap((dtype) =>
    [1, 2].flatMap((threads) =>
      (['dense', 'balanced', 'Zipf'] as const).map((kind) => experts(kind, dtype, threads)),
    ),
  ),
};
