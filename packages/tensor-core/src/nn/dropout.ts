import { ArgumentError } from '../errors.js';
import { isTraining, type Random, type Tensor } from '../index.js';
import { Module } from './module.js';

/** Zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate), while gradients will be taken. */
export class Dropout extends Module {
  constructor(
    readonly rate: number,
    private readonly random: Random,
  ) {
    super();
    if (!(rate >= 0 && rate < 1))
      throw new ArgumentError({
        where: 'Dropout',
        what: 'rate out of range',
        got: String(rate),
        expected: '0 ≤ rate < 1',
      });
  }

  forward(x: Tensor): Tensor {
    if (this.rate === 0 || !isTraining()) return x;
    const kept = this.random.uniform(x.shape, { backend: x.backend }).less(this.rate).logicalNot();
    return x.mul(kept.cast(x.dtype)).mul(1 / (1 - this.rate));
  }
}
