import { BackendError } from '@frugal/tensor-core';

/** TensorFlow, its binding or a GPU is missing or does not fit; the message says what to run. */
export class CudaBackendUnavailableError extends BackendError {}

/** The memory of the device does not suffice; nothing that was there is lost. */
export class DeviceMemoryError extends BackendError {}

/** The device stopped answering: the process must be started again, from the last checkpoint. */
export class DeviceLostError extends BackendError {}
