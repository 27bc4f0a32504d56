import { FrugalError } from '@frugal/tensor-core';

/** A teacher cache that cannot be used, or does not hold what is asked for. */
export class TeacherCacheError extends FrugalError {}

/** An endpoint that does not answer as a teacher. */
export class EndpointError extends FrugalError {}
