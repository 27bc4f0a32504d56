import { defaultBackend } from '@frugal/backend-cpu';
import { cudaBackend } from '@frugal/backend-cuda';
import { openWasmBackend } from '@frugal/example-custom-backend/backend';
import { type Backend, referenceBackend } from '@frugal/tensor-core';

const openers: Readonly<Record<string, () => Backend | Promise<Backend>>> = {
  cpu: defaultBackend,
  cuda: cudaBackend,
  reference: referenceBackend,
  wasm: openWasmBackend,
};

export const backendNames: readonly string[] = Object.keys(openers);

/** @throws CudaBackendUnavailableError with what to run */
export async function openBackend(name: string): Promise<Backend> {
  return openers[name]();
}
