import type { CpuBackend } from '@frugal/backend-cpu';
import { attention, dispatch, Random, run, type Tensor, tensor } from '@frugal/tensor-core';
import type { CacheDType } from '@frugal/tensor-core/nn';
import type { KernelCase, KernelFamily, PeerCase } from './case.js';

interface Sizes {
  readonly dtype: 'f32' | 'bf16';
  readonly T: number;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly window?: number;
  readonly threads: number;
}

/** Pairs of a query and a key that see each other: only they count. */
function pairs({ T, window = T }: Sizes): number {
  const seen = Math.min(window, T);
  return (seen * (seen + 1)) / 2 + (T - seen) * seen;
}

function torch({ dtype, T, H, K, D, window }: Sizes, backward: boolean): PeerCase {
  const options = [...(window ? ['--window', String(window)] : []), ...(backward ? ['--backward'] : [])];
  return {
    script: 'torch_attention.py',
    module: 'torch',
    args: ['--dtype', dtype, ...options],
    what: `1x${H}x${K}x${T}x${D}`,
  };
}

function nameOf({ dtype, T, H, K, D, window }: Sizes): string {
  return `${dtype} T ${T}, ${H === K ? H : `${H}/${K}`} heads of ${D}${window ? `, window ${window}` : ''}`;
}

function inputsOf({ dtype, T, H, K, D }: Sizes, backend: CpuBackend): Tensor[] {
  const random = new Random(1);
  const draw = (heads: number) => random.normal([T, heads, D], { backend }).cast(dtype);
  return [draw(H), draw(K), draw(K), tensor(Int32Array.of(0, T), { backend })];
}

function forward(sizes: Sizes): KernelCase {
  const { dtype, T, H, K, D, window, threads } = sizes;
  return {
    name: `attention ${nameOf(sizes)}`,
    threads,
    operations: 4 * H * D * pairs(sizes),
    bytes: 2 * T * (H + K) * D * (dtype === 'f32' ? 4 : 2),
    bound: dtype,
    prepare: (backend) => {
      const [q, k, v, starts] = inputsOf(sizes, backend);
      const attributes = { scale: D ** -0.5, causal: true, window };
      return { inputs: [q, k, v, starts], run: () => void attention(q, k, v, starts, attributes) };
    },
    peers: [torch(sizes, false)],
  };
}

/** The gradient alone, from saved outputs: five products instead of two. */
function backward(sizes: Sizes): KernelCase {
  const { dtype, T, H, K, D, window, threads } = sizes;
  return {
    name: `attention backward ${nameOf(sizes)}`,
    threads,
    operations: 10 * H * D * pairs(sizes),
    bytes: 4 * T * (H + K) * D * (dtype === 'f32' ? 4 : 2),
    bound: dtype,
    prepare: (backend) => {
      const [q, k, v, starts] = inputsOf(sizes, backend);
      const attributes = { scale: D ** -0.5, causal: true, window };
      const gradient = new Random(2).normal([T, H, D], { backend }).cast(dtype);
      const saved = dispatch('attention', [q, k, v, starts], attributes);
      const inputs = [gradient, q, k, v, starts, ...saved];
      return { inputs, run: () => void dispatch('attentionBackward', inputs, attributes) };
    },
    peers: [torch(sizes, true)],
  };
}

interface Decode {
  readonly cache: CacheDType;
  readonly T: number;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly threads: number;
}

/** One token over a paged cache of T tokens, whose pages lie in a mixed order. */
function decode({ cache, T, H, K, D, threads }: Decode): KernelCase {
  const pageSize = 16;
  const bytesPerVector = cache === 'q8' ? D + 4 : D * (cache === 'f32' ? 4 : 2);
  const peer = cache === 'q8' ? 'bf16' : cache === 'f16' ? 'bf16' : cache;
  return {
    name: `decode ${cache} over ${T}, ${H === K ? H : `${H}/${K}`} heads of ${D}`,
    threads,
    operations: 4 * H * D * T,
    bytes: 2 * T * K * bytesPerVector,
    bound: 'read',
    prepare: (backend) => {
      const random = new Random(1);
      const q = random.normal([1, H, D], { backend });
      const part = () => {
        const values = random.normal([T, K, D], { backend });
        if (cache !== 'q8') return [values.cast(cache)];
        return [values.mul(40).cast('i8'), random.uniform([T, K], { backend }).mul(0.01)];
      };
      const [[keys, ...keyScales], [values, ...valueScales]] = [part(), part()];
      const pages = Int32Array.from({ length: T / pageSize }, (_, i) => (i * 37) % (T / pageSize));
      const numbers = (list: Int32Array, shape: number[]) => tensor(list, { shape, backend });
      const places = [
        numbers(Int32Array.of(0, 1), [2]),
        numbers(pages, [1, pages.length]),
        numbers(Int32Array.of(T), [1]),
      ];
      const inputs = [q, keys, values, ...places, ...keyScales, ...valueScales];
      const attributes = { scale: D ** -0.5, causal: true, pageSize };
      return { inputs, run: () => void run('cachedAttention', inputs, attributes) };
    },
    peers: [
      {
        script: 'torch_attention.py',
        module: 'torch',
        args: ['--dtype', peer],
        what: `1x${H}x${K}x${T}x${D}x1`,
        variant: `${peer}, contiguous`,
      },
    ],
  };
}

const heads = { H: 8, K: 8, D: 64 } as const;
const lengths = [256, 512, 1024, 2048, 4096] as const;
const training: readonly Sizes[] = (['f32', 'bf16'] as const).flatMap((dtype) => [
  ...lengths.map((T) => ({ dtype, T, ...heads, threads: 1 })),
  { dtype, T: 1024, H: 8, K: 2, D: 64, threads: 1 },
  { dtype, T: 1024, H: 8, K: 2, D: 128, threads: 1 },
  { dtype, T: 2048, ...heads, window: 512, threads: 1 },
  ...[1024, 4096].map((T) => ({ dtype, T, ...heads, threads: 2 })),
]);

const decoding: readonly Decode[] = (['f32', 'bf16', 'q8'] as const).flatMap((cache) => [
  { cache, T: 512, H: 9, K: 3, D: 64, threads: 1 },
  { cache, T: 4096, H: 32, K: 8, D: 128, threads: 1 },
  { cache, T: 4096, H: 32, K: 8, D: 128, threads: 2 },
  { cache, T: 32768, H: 32, K: 8, D: 128, threads: 2 },
]);

export const attentionFamily: KernelFamily = {
  name: 'attention',
  cases: [...training.map(forward), ...training.map(backward), ...decoding.map(decode)],
};
