import { FrugalError } from '@frugal/tensor-core';

/** A recipe that is not valid data. */
export class RecipeError extends FrugalError {}

/** Everything that is wrong with a plan, found before any work. */
export class PlanError extends FrugalError {
  constructor(readonly problems: readonly string[]) {
    super({
      where: 'compress',
      what: `the plan has ${problems.length} problem${problems.length === 1 ? '' : 's'}`,
      got: problems.join('; '),
      hint: 'Nothing was changed.',
    });
  }
}

/** A later stage broke what an earlier one promised. */
export class InvariantError extends FrugalError {}
