import './prepared.js';
import { type CudaBackend, cudaBackend } from '@frugal/backend-cuda';
import { beforeEach } from 'vitest';

function open(): { readonly backend: CudaBackend | null; readonly reason: string } {
  try {
    return { backend: cudaBackend({ allowCpu: true }), reason: '' };
  } catch (error) {
    return {
      backend: null,
      reason: `needs TensorFlow (scripts/fetch-tensorflow.mjs): ${(error as Error).message}`,
    };
  }
}

const { backend, reason } = open();

/** TensorFlow on the processor, or on a GPU where there is one. */
export function openBackend(): CudaBackend {
  if (!backend) throw new Error(reason);
  return backend;
}

/** Skips every test of the file, with the reason, when TensorFlow cannot be loaded. */
export function needsTensorFlow(): void {
  beforeEach((context) => {
    if (reason) context.skip(reason);
  });
}
