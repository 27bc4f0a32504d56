import type { Backend, DType, TensorView } from '@frugal/tensor-core';
import { contiguousView } from './views.js';

/** The most that a backend's instructions and threads can do: 10⁹ operations and 10⁹ bytes per second. */
export interface Peaks {
  readonly f32: number;
  readonly bf16: number;
  readonly int8: number;
  /** Reading memory, of more bytes than caches hold. */
  readonly read: number;
}

type Run = (
  kernel: string,
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: readonly number[],
) => void;

const MILLISECONDS = 8;
const REPEATS = 4;

/** Runs the loops of native/kernels/probe.cpp on a backend; the best of a few repeats counts. */
export function measurePeaks(
  backend: Backend & { readonly threads: number },
  run: Run,
  readBytes: number,
): Peaks {
  const out = backend.allocate(4);
  const result = contiguousView([1], 'f32', out);
  const operations = (kernel: string): number => {
    let iterations = 1000;
    while (milliseconds(() => run(kernel, [], [result], [iterations])) < MILLISECONDS) iterations *= 2;
    const best = bestOf(() => run(kernel, [], [result], [iterations]));
    const perIteration = new Float32Array(backend.readSync!(result).buffer)[0];
    return (perIteration * iterations * backend.threads) / best / 1e6;
  };
  const peaks = {
    f32: operations('probeF32'),
    bf16: operations('probeBf16'),
    int8: operations('probeInt8'),
    read: readPeak(backend, run, result, readBytes),
  };
  backend.free(out);
  return peaks;
}

function readPeak(backend: Backend, run: Run, result: TensorView, size: number): number {
  const storage = backend.allocate(size);
  const bytes = contiguousView([size], 'u8' satisfies DType, storage);
  run('fill', [], [bytes], [1]); // fresh memory is one shared page of zeros
  const best = bestOf(() => run('probeRead', [bytes], [result], []));
  backend.free(storage);
  return size / best / 1e6;
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function bestOf(work: () => void): number {
  return Math.min(...Array.from({ length: REPEATS }, () => milliseconds(work)));
}
