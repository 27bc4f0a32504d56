import { dispatch } from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { type SlotMember, SlotOptimizer } from './slots.js';

export interface AdamWOptions {
  /** Decay of the running mean of gradients. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the running mean of squared gradients. Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled: parameter -= learningRate · weightDecay · parameter. Default 0.01. */
  readonly weightDecay?: number;
}

/** AdamW (Loshchilov & Hutter 2019), as one fused op for all parameters; copies in other dtypes are written with them. */
export class AdamW extends SlotOptimizer {
  constructor(private readonly options: AdamWOptions = {}) {
    super(['first', 'second']);
  }

  protected override updateAll(members: readonly SlotMember[], { scale, finite, ...update }: Update): void {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = this.options;
    for (const copies of [false, true]) {
      const part = members.filter(({ parameter }) => (parameter.roundedCopy !== null) === copies);
      if (part.length === 0) continue;
      const groups = part.flatMap(({ parameter, value, gradient, slots }) => {
        const copy = parameter.roundedCopy;
        return [value, ...slots, gradient, ...(copy ? [copy] : [])];
      });
      const attributes = { ...update, beta1, beta2, epsilon, weightDecay, copies };
      dispatch('adamw', [...groups, scale, finite], attributes);
      if (copies) for (const { parameter } of part) parameter.copyWasWritten();
    }
  }
}
