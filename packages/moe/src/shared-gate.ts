import type { Tensor } from '@frugal/tensor-core';
import { Module, Parameter } from '@frugal/tensor-core/nn';

/**
 * How much of the shared experts each token gets (Qwen2-MoE): sigmoid(x · w). As small and touchy as a router, so it is no
 * LinearLike either.
 */
export class SharedGate extends Module {
  /** [1, C]. */
  readonly weight: Parameter;

  constructor(weight: Tensor) {
    super();
    this.weight = new Parameter(weight);
  }

  /** [N, C] → [N, 1], in the dtype of x. */
  forward(x: Tensor): Tensor {
    return x.matmul(this.weight.value.cast(x.dtype).transpose()).sigmoid();
  }
}
