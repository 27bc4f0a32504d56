import type { CpuBackend, Isa, Peaks } from '@frugal/backend-cpu';
import type { PackedTensor, Tensor } from '@frugal/tensor-core';

/** A program of benchmarks/peers that repeats the same work; see its head for what it takes. */
export interface PeerCase {
  readonly script: string;
  /** Python module that must be there, else the peer is left out with one line. */
  readonly module: string;
  /** `--threads` is added. */
  readonly args: readonly string[];
  /** Third word of `run N …`. */
  readonly what: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Added to the peer's own name: `AVX2`, `compiled`. */
  readonly variant?: string;
}

/** What is measured: `run` again and again over `inputs`, its results freed after each run. */
export interface Prepared {
  readonly inputs: readonly (Tensor | PackedTensor)[];
  run(): void;
}

/** One kernel on one size: a row per peer, and a point of the roofline. */
export interface KernelCase {
  /** Kernel, dtype and size: `matmul f32 1024`. */
  readonly name: string;
  readonly threads: number;
  /** Default: the best that the processor has. */
  readonly isa?: Isa;
  /** Operations of one run, multiplications and additions counted apart; 0 for what only moves bytes. */
  readonly operations: number;
  /** Bytes that one run must read and write at least. */
  readonly bytes: number;
  /** The speed that bounds it from above: multiply-adds of a kind, or reading memory. */
  readonly bound: keyof Peaks;
  prepare(backend: CpuBackend): Prepared;
  readonly peers: readonly PeerCase[];
}

/** All cases of one family: a file of this folder, listed in families.ts. */
export interface KernelFamily {
  readonly name: string;
  readonly cases: readonly KernelCase[];
}

/** Operations as GFLOP/s or GOP/s, bytes as GB/s: what one run's work is counted in. */
export function unitOf({ operations, bound }: KernelCase): 'GFLOP/s' | 'GOP/s' | 'GB/s' {
  if (operations === 0) return 'GB/s';
  return bound === 'int8' ? 'GOP/s' : 'GFLOP/s';
}
