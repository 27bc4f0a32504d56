import {
  AscendUnavailableError,
  ascendBackend,
  candidateFolders,
  findInstallation,
} from '@frugal/backend-ascend';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { CudaBackendUnavailableError, cudaBackend, findGpus, locateBinding } from '@frugal/backend-cuda';
import { type Backend, referenceBackend } from '@frugal/tensor-core';

export const backendNames = ['cuda', 'ascend', 'cpu', 'reference'] as const;
export type BackendName = (typeof backendNames)[number];

export interface OpenOptions {
  readonly threads?: number | undefined;
}

/** How well a backend suits this machine, found without loading it; 0: not at all. */
export interface Fitness {
  readonly score: number;
  readonly why: string;
}

interface Candidate {
  rate(): Fitness;
  /** @throws CudaBackendUnavailableError, AscendUnavailableError, CpuBackendUnavailableError */
  open(options: OpenOptions): Backend;
}

/** A new backend is one entry here. */
export const candidates: Readonly<Record<BackendName, Candidate>> = {
  cuda: { rate: rateCuda, open: () => cudaBackend() },
  ascend: { rate: rateAscend, open: () => ascendBackend() },
  cpu: {
    rate: () =>
      process.env.FRUGAL_NATIVE === 'off'
        ? { score: 0, why: 'FRUGAL_NATIVE=off' }
        : { score: 50, why: 'kernels for this processor' },
    open: ({ threads }) => cpuBackend({ threads }),
  },
  reference: {
    rate: () => ({ score: 1, why: 'always runs, hundreds of times slower' }),
    open: () => referenceBackend(),
  },
};

function rateCuda(): Fitness {
  if (!locateBinding()) return { score: 0, why: 'TensorFlow is not prepared' };
  const { gpus, why } = findGpus();
  if (gpus.length === 0) return { score: 0, why };
  return { score: 100, why: gpus[0].name };
}

/** CANN without an NPU is found out by opening it, and the next one is taken. */
function rateAscend(): Fitness {
  const found = findInstallation();
  if (!found) return { score: 0, why: `no CANN in ${candidateFolders().join(', ')}` };
  if (!found.environment) return { score: 90, why: `CANN in ${found.home}, but set_env.sh was not sourced` };
  return { score: 95, why: `CANN in ${found.home}` };
}

export interface RankedBackend extends Fitness {
  readonly name: BackendName;
}

/** All backends, the one that suits best first. */
export function rankBackends(): RankedBackend[] {
  const rated = backendNames.map((name) => ({ name, ...candidates[name].rate() }));
  return rated.sort((a, b) => b.score - a.score);
}

/** Whether an error says that a backend cannot run here, and not that something is broken. */
export function isUnavailable(error: unknown): error is Error {
  return [CpuBackendUnavailableError, CudaBackendUnavailableError, AscendUnavailableError].some(
    (kind) => error instanceof kind,
  );
}
