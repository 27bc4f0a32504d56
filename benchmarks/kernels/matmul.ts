import { Random, type Tensor } from '@frugal/tensor-core';
import type { KernelCase, KernelFamily, PeerCase } from './case.js';

interface Product {
  readonly dtype: 'f32' | 'bf16';
  readonly M: number;
  readonly K: number;
  readonly N: number;
  readonly threads: number;
}

function bytesOf({ dtype, M, K, N }: Product): number {
  return (M * K + K * N + M * N) * (dtype === 'f32' ? 4 : 2);
}

function sizeName({ M, K, N }: Product): string {
  return M === K && K === N ? `${M}` : `${M} × ${K} × ${N}`;
}

function torch({ dtype, M, K, N }: Product): PeerCase {
  return {
    script: 'torch_matmul.py',
    module: 'torch',
    args: ['--dtype', dtype, '--shapes', ''],
    what: `${M}x${K}x${N}`,
  };
}

/** With its weight as a constant, which it packs ahead of time: its best. */
function onnxruntime({ M, K, N }: Product): PeerCase {
  return {
    script: 'onnxruntime_matmul.py',
    module: 'onnxruntime',
    args: ['--constant'],
    what: `${M}x${K}x${N}`,
  };
}

/** x [M, K] · weightᵀ with weight [N, K]: the product of a linear layer. */
function product(size: Product): KernelCase {
  const { dtype, M, K, N, threads } = size;
  return {
    name: `matmul ${dtype} ${sizeName(size)}`,
    threads,
    operations: 2 * M * K * N,
    bytes: bytesOf(size),
    bound: M <= 16 ? 'read' : dtype,
    prepare: (backend) => {
      const random = new Random(1);
      const draw = (...shape: number[]): Tensor => random.normal(shape, { backend }).cast(dtype);
      const [x, weight] = [draw(M, K), draw(N, K).transpose()];
      return { inputs: [x, weight], run: () => void x.matmul(weight) };
    },
    peers: dtype === 'f32' ? [onnxruntime(size), torch(size)] : [torch(size)],
  };
}

const sizes: readonly (readonly [M: number, K: number, N: number])[] = [
  [512, 512, 512],
  [1024, 1024, 1024],
  [2048, 2048, 2048],
  [4096, 4096, 4096],
  [2048, 256, 688],
  [1, 4096, 4096],
  [8, 4096, 4096],
];

export const matmulFamily: KernelFamily = {
  name: 'matmul',
  cases: (['f32', 'bf16'] as const).flatMap((dtype) =>
    [1, 2].flatMap((threads) => sizes.map(([M, K, N]) => product({ dtype, M, K, N, threads }))),
  ),
};
