import { BackendError } from '@frugal/tensor-core';

/** CANN, its driver or an NPU is missing or does not fit; the message says what to run. */
export class AscendUnavailableError extends BackendError {}

/** The memory of the device does not suffice; nothing that was there is lost. */
export class AscendMemoryError extends BackendError {}

/** A kernel or the device failed: the process must be started again, from the last checkpoint. */
export class AscendDeviceError extends BackendError {}
