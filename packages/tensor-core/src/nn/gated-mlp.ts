import { type GateActivation, swiglu, type Tensor } from '../index.js';
import type { LinearLike } from './linear.js';
import type { StepContext } from './model.js';
import { Module } from './module.js';

/** down(activation(gate(x)) · up(x)): [N, C] → [N, C]. */
export class GatedMLP extends Module {
  constructor(
    readonly gate: LinearLike,
    readonly up: LinearLike,
    readonly down: LinearLike,
    readonly activation: GateActivation = 'silu',
  ) {
    super();
  }

  forward(x: Tensor, { batch: rows }: Pick<StepContext, 'batch'>): Tensor {
    return this.down.forward(
      swiglu(this.gate.forward(x, rows), this.up.forward(x, rows), this.activation),
      rows,
    );
  }
}
