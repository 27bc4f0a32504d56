import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { setBackend } from '@frugal/tensor-core';

/** Makes the native kernels the backend of all tensors; false where there are none. */
export function useNativeBackend(): boolean {
  try {
    setBackend(cpuBackend());
    return true;
  } catch (error) {
    if (!(error instanceof CpuBackendUnavailableError)) throw error;
    return false;
  }
}
