import { type Tensor, where } from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { SlotOptimizer } from './slots.js';

export interface SGDOptions {
  /** Decay of the sum of past gradients. Default 0: none is kept. */
  readonly momentum?: number;
  /** Looks one step ahead along the momentum (Sutskever et al. 2013). Default false. */
  readonly nesterov?: boolean;
  /** Added to the gradient as weightDecay · parameter (L2, not decoupled). Default 0. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent with momentum. */
export class SGD extends SlotOptimizer {
  constructor(private readonly options: SGDOptions = {}) {
    super(options.momentum ? ['momentum'] : []);
  }

  protected override update(parameter: Tensor, gradient: Tensor, [velocity]: Tensor[], update: Update): void {
    const { momentum = 0, nesterov = false, weightDecay = 0 } = this.options;
    const apply = update.finite.equal(0).logicalNot();
    let direction = gradient.cast('f32').mul(update.scale);
    if (weightDecay) direction = direction.add(parameter.mul(weightDecay));
    if (velocity) {
      const next = velocity.mul(momentum).add(direction);
      direction = nesterov ? direction.add(next.mul(momentum)) : next;
      velocity.assign(where(apply, next, velocity));
    }
    parameter.assign(where(apply, parameter.sub(direction.mul(update.learningRate)), parameter));
  }
}
