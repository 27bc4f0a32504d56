import type { CpuBackend } from '@frugal/backend-cpu';
import { integerMatmul, Random, type Tensor } from '@frugal/tensor-core';
import type { KernelCase, KernelFamily, PeerCase, Prepared } from './case.js';

interface Product {
  readonly dtype: 'f32' | 'bf16' | 'int8';
  readonly M: number;
  readonly K: number;
  readonly N: number;
  readonly threads: number;
  /** Both sides held to AVX2. */
  readonly avx2?: boolean;
}

/** Held to AVX2, PyTorch's own code, oneDNN and MKL each want to be told. */
const avx2Environment = {
  ATEN_CPU_CAPABILITY: 'avx2',
  ONEDNN_MAX_CPU_ISA: 'AVX2',
  MKL_ENABLE_INSTRUCTIONS: 'AVX2',
};

function bytesOf({ dtype, M, K, N }: Product): number {
  if (dtype === 'int8') return M * K + K * N + 4 * M * N;
  return (M * K + K * N + M * N) * (dtype === 'f32' ? 4 : 2);
}

function sizeName({ M, K, N }: Product): string {
  return M === K && K === N ? `${M}` : `${M} × ${K} × ${N}`;
}

function torch({ dtype, M, K, N, avx2 }: Product): PeerCase {
  return {
    ...(avx2 && { environment: avx2Environment, variant: 'held to AVX2' }),
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

function integers(random: Random, backend: CpuBackend, { M, K, N }: Product): Prepared {
  const codes = (rows: number) => random.uniform([rows, K], { backend }).mul(255).sub(128).floor().cast('i8');
  const [x, weight] = [codes(M), codes(N)];
  return { inputs: [x, weight], run: () => void integerMatmul(x, weight) };
}

/** x [M, K] · weightᵀ with weight [N, K]: the product of a linear layer. */
function product(size: Product): KernelCase {
  const { dtype, M, K, N, threads } = size;
  return {
    name: `matmul ${dtype} ${sizeName(size)}`,
    threads,
    ...(size.avx2 && { isa: 'avx2' }),
    operations: 2 * M * K * N,
    bytes: bytesOf(size),
    bound: M <= 16 ? 'read' : dtype,
    prepare: (backend) => {
      const random = new Random(1);
      if (dtype === 'int8') return integers(random, backend, size);
      const draw = (...shape: number[]): Tensor => random.normal(shape, { backend }).cast(dtype);
      const [x, weight] = [draw(M, K), draw(N, K).transpose()];
      return { inputs: [x, weight], run: () => void x.matmul(weight) };
    },
    peers: dtype === 'f32' && !size.avx2 ? [onnxruntime(size), torch(size)] : [torch(size)],
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

/** PyTorch's integer product takes more than 16 rows only. */
const fits = (dtype: Product['dtype'], M: number) => dtype !== 'int8' || M > 16;

export const matmulFamily: KernelFamily = {
  name: 'matmul',
  cases: [
    ...(['f32', 'bf16', 'int8'] as const).flatMap((dtype) =>
      [1, 2].flatMap((threads) =>
        sizes.filter(([M]) => fits(dtype, M)).map(([M, K, N]) => product({ dtype, M, K, N, threads })),
      ),
    ),
    ...[1024, 2048].map((size) =>
      product({ dtype: 'f32', M: size, K: size, N: size, threads: 1, avx2: true }),
    ),
  ],
};
