import { dispatch, type Tensor } from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { SlotOptimizer } from './slots.js';

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

/** AdamW (Loshchilov & Hutter 2019), as one fused op per parameter. */
export class AdamW extends SlotOptimizer {
  constructor(private readonly options: AdamWOptions = {}) {
    super(['first', 'second']);
  }

  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    [first, second]: Tensor[],
    update: Update,
  ): void {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = this.options;
    const { learningRate, step, scale, finite } = update;
    dispatch('adamw', [parameter, first, second, gradient, scale, finite], {
      learningRate,
      beta1,
      beta2,
      epsilon,
      weightDecay,
      step,
    });
  }
}
