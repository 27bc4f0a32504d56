import { noGrad, readIndices, type Tensor } from '@frugal/tensor-core';
import type { ExpertMemory } from './expert-memory.js';
import type { Router } from './router.js';

/** Steps of more rows than this use most experts anyway. */
const MOST_ROWS_GUESSED = 4;

/** The experts of one layer, in a memory that they share with those of other layers. */
export class ExpertResidence {
  constructor(
    readonly memory: ExpertMemory,
    readonly layer: number,
    /** Of the next layer with experts; null for the last one. */
    private readonly nextRouter: Router | null,
  ) {}

  /**
   * To be called with the input [N, C] of this layer and the experts that it chose, before they compute: they are fetched, and
   * those that the next layer would choose for the same input. The residual stream changes little from layer to layer, so that
   * this is mostly what it will choose (Eliseev & Mazur 2023, arXiv:2312.17238, §3.2).
   */
  begin(x: Tensor, chosen: readonly number[]): void {
    this.memory.begin(this.layer, chosen);
    if (!this.memory.predicts || !this.nextRouter || x.shape[0] > MOST_ROWS_GUESSED) return;
    const { nextRouter } = this;
    // Best first in each row: all first choices, then all second ones.
    const guess = noGrad(() => readIndices(nextRouter.forward(x).experts.transpose().contiguous()));
    if (guess) this.memory.expect(this.layer + 1, [...guess], x.shape[0]);
  }

  take(expert: number): void {
    this.memory.take(this.layer, expert);
  }
}
