import { type ErrorDetails, FrugalError } from '@frugal/tensor-core';

/** A schema, regular expression or grammar that cannot be followed: wrong, not supported, or too large. */
export class GrammarError extends FrugalError {
  constructor(where: 'json schema' | 'regex' | 'grammar', details: Omit<ErrorDetails, 'where'>) {
    super({ where, ...details });
  }
}
