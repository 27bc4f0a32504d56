import { BackendError } from '@frugal/tensor-core';

/** The native addon is missing, switched off or does not fit this machine; the message says what to run. */
export class CpuBackendUnavailableError extends BackendError {}
