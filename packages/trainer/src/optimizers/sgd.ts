import { scope, type Tensor, where } from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { type SlotMember, SlotOptimizer } from './slots.js';

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

  protected override updateAll(members: readonly SlotMember[], update: Update): void {
    for (const member of members) scope(() => this.update(member, update));
  }

  private update({ value, gradient, slots: [velocity] }: SlotMember, update: Update): void {
    const { momentum = 0, nesterov = false, weightDecay = 0 } = this.options;
    const apply = update.finite.equal(0).logicalNot();
    let direction = gradient.cast('f32').mul(update.scale);
    let faster: Tensor | null = null;
    if (weightDecay) direction = direction.add(value.mul(weightDecay));
    if (velocity) {
      const next = velocity.mul(momentum).add(direction);
      direction = nesterov ? direction.add(next.mul(momentum)) : next;
      faster = where(apply, next, velocity);
    }
    value.assign(where(apply, value.sub(direction.mul(update.learningRate)), value));
    if (faster) velocity.assign(faster);
  }
}
