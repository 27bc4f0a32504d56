import { type AdamWAttributes, dispatch, type Tensor } from '@frugal/tensor-core';
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

  protected override updateAll(members: readonly SlotMember[], update: Update): void {
    const { scale, finite } = update;
    for (const { members: part, tensors, copies } of adamwGroups(members)) {
      dispatch('adamw', [...tensors, scale, finite], { ...adamwRates(this.options, update), copies });
      if (copies) for (const { parameter } of part) parameter.copyWasWritten();
    }
  }
}

/** Members whose groups of tensors go into one call: parameter, slots, gradient[, rounded copy]. */
export interface AdamWGroups {
  readonly members: readonly SlotMember[];
  readonly tensors: readonly Tensor[];
  readonly copies: boolean;
}

/**
 * Those without rounded copies of the weights, then those with. On a device each by itself: it takes them one after the other
 * in any case, and so it is known how far an update has come when the memory ends.
 */
export function adamwGroups(members: readonly SlotMember[]): AdamWGroups[] {
  const isShared = members.every(({ value }) => value.backend.capabilities.memory === 'host');
  const parts = isShared
    ? [false, true].map((copies) =>
        members.filter(({ parameter }) => (parameter.roundedCopy !== null) === copies),
      )
    : members.map((member) => [member]);
  return parts.flatMap((part) => {
    if (part.length === 0) return [];
    const tensors = part.flatMap(({ parameter, value, gradient, slots }) => {
      const copy = parameter.roundedCopy;
      return [value, ...slots, gradient, ...(copy ? [copy] : [])];
    });
    return [{ members: part, tensors, copies: part[0].parameter.roundedCopy !== null }];
  });
}

/** Attributes of the op in one update. */
export function adamwRates(options: AdamWOptions, { learningRate, step }: Update): AdamWAttributes {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  return { learningRate, step, beta1, beta2, epsilon, weightDecay };
}
