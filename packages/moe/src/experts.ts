import { type GateActivation, swiglu, type Tensor } from '@frugal/tensor-core';
import { Module } from '@frugal/tensor-core/nn';
import type { StackedLinear } from './stacked-linear.js';

/** The gated MLPs of all experts, down(activation(gate(x)) · up(x)), over rows sorted by expert. */
export class Experts extends Module {
  constructor(
    readonly gate: StackedLinear,
    readonly up: StackedLinear,
    readonly down: StackedLinear,
    readonly activation: GateActivation = 'silu',
  ) {
    super();
  }

  /** [M, C] and offsets i32 [E + 1] → [M, C]. */
  forward(x: Tensor, offsets: Tensor): Tensor {
    const inner = swiglu(this.gate.forward(x, offsets), this.up.forward(x, offsets), this.activation);
    return this.down.forward(inner, offsets);
  }
}
