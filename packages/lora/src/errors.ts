import { FrugalError } from '@frugal/tensor-core';

/** Problems that a message names. */
const SHOWN = 20;

/** An adapter that does not fit the model, or that we cannot apply: all reasons, found before anything was changed. */
export class AdapterError extends FrugalError {
  constructor(
    where: string,
    readonly problems: readonly string[],
    hint?: string,
  ) {
    const rest = problems.length - SHOWN;
    super({
      where,
      what: `the adapter has ${problems.length} problem${problems.length === 1 ? '' : 's'}`,
      got: `${problems.slice(0, SHOWN).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
      hint,
    });
  }
}
