import { type Backend, scope, type Tensor, zeros } from '@frugal/tensor-core';

export interface BackendSpeed {
  /** Of a product of square f32 matrices. */
  readonly matmulFlopsPerSecond: number;
  /** Bytes read and written by the sum of two f32 vectors. */
  readonly bytesPerSecond: number;
}

/** One measurement may take this long; larger problems are not tried then. */
const ENOUGH_SECONDS = 0.03;
const MATRIX_SIZES = [64, 128, 256, 512, 1024, 2048];
const VECTOR_SIZES = [2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24];

/**
 * What a backend can do here, measured on problems that are as large as its speed allows.
 * @throws AggregateError with what each op failed of that did: one that fails says nothing of the others
 */
export async function measureBackend(backend: Backend): Promise<BackendSpeed> {
  const failures: unknown[] = [];
  const measure = async (...problems: Parameters<typeof bestRate>) => {
    try {
      return await bestRate(...problems);
    } catch (error) {
      failures.push(error);
      return 0;
    }
  };
  const matmulFlopsPerSecond = await measure(backend, MATRIX_SIZES, (n) => ({
    work: 2 * n ** 3,
    inputs: [zeros([n, n], { backend }), zeros([n, n], { backend })],
    run: ([a, b]) => a.matmul(b),
  }));
  const bytesPerSecond = await measure(backend, VECTOR_SIZES, (n) => ({
    work: 3 * 4 * n,
    inputs: [zeros([n], { backend }), zeros([n], { backend })],
    run: ([a, b]) => a.add(b),
  }));
  if (failures.length > 0) throw new AggregateError(failures, 'the backend fails some ops');
  return { matmulFlopsPerSecond, bytesPerSecond };
}

interface Problem {
  readonly work: number;
  readonly inputs: readonly Tensor[];
  run(inputs: readonly Tensor[]): Tensor;
}

/** Work per second of the largest problem that is still quick; the best of three counts. */
async function bestRate(
  backend: Backend,
  sizes: readonly number[],
  problemOf: (size: number) => Problem,
): Promise<number> {
  let rate = 0;
  for (const size of sizes) {
    const problem = problemOf(size);
    let best = Number.POSITIVE_INFINITY;
    try {
      for (let i = 0; i < 3; i++) {
        const start = performance.now();
        scope(() => void problem.run(problem.inputs));
        await backend.synchronize();
        best = Math.min(best, (performance.now() - start) / 1000);
      }
    } finally {
      for (const input of problem.inputs) input.dispose();
    }
    rate = problem.work / best;
    if (best > ENOUGH_SECONDS) break;
  }
  return rate;
}
