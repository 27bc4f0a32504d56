import type { Tensor } from '@frugal/tensor-core';
import { type LinearLike, type LogitHead, Module, type RowContext } from '@frugal/tensor-core/nn';

/** A head whose logits are kept within ± softCap: softCap · tanh(logit / softCap) (Gemma 2, arXiv:2408.00118). */
export class CappedHead extends Module implements LogitHead {
  constructor(
    readonly linear: LinearLike,
    readonly softCap: number,
  ) {
    super();
  }

  get outFeatures(): number {
    return this.linear.outFeatures;
  }

  forward(hidden: Tensor, rows?: RowContext): Tensor {
    const logits = this.linear.forward(hidden, rows);
    return logits
      .mul(1 / this.softCap)
      .tanh()
      .mul(this.softCap);
  }
}
