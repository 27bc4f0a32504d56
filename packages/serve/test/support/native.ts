import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import type { Backend } from '@frugal/tensor-core';

/** The native kernels, with threads even for tiny work; null where there are none. */
export function nativeBackend(): Backend | null {
  try {
    return cpuBackend({ threads: 2, minimumWork: 0 });
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return null;
    throw error;
  }
}
