import { FrugalError } from '@frugal/tensor-core';

/** A run that cannot start or go on. */
export class CompressError extends FrugalError {}

/** A recipe that is not valid data. */
export class RecipeError extends FrugalError {}

/** Problems that a message names: a method that fits nowhere has one for every layer. */
const SHOWN = 20;

/** Everything that is wrong with a plan, found before any work. The message names the first of the `problems`. */
export class PlanError extends FrugalError {
  constructor(readonly problems: readonly string[]) {
    const rest = problems.length - SHOWN;
    super({
      where: 'compress',
      what: `the plan has ${problems.length} problem${problems.length === 1 ? '' : 's'}`,
      got: `${problems.slice(0, SHOWN).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
      hint: 'Nothing was changed.',
    });
  }
}

/** A later stage broke what an earlier one promised. */
export class InvariantError extends FrugalError {}
