import { FrugalError } from '@frugal/tensor-core';

/** Items or tasks that cannot be read or scored. */
export class TaskError extends FrugalError {}
