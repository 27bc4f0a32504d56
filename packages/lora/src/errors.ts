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

/** A merge that would lose what the adapter taught; nothing was changed. */
export class LostTuningError extends FrugalError {
  constructor(
    readonly measurement: { readonly kept: number; readonly effect: number; readonly loss: number },
    minimum: number,
  ) {
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    super({
      where: 'mergePacked',
      what: 'rounding the merged weights loses the tuning',
      got: `${percent(measurement.kept)} of the effect kept (KL ${measurement.loss.toPrecision(3)} of ${measurement.effect.toPrecision(3)} nats per token)`,
      expected: `${percent(minimum)} or more`,
      hint: 'Keep the adapter beside the model, choose a format of more bits, or lower the share that must be kept.',
    });
  }
}
