import { type GateActivation, swiglu, type Tensor } from '../index.js';
import type { LinearLike, RowContext } from './linear.js';
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

  forward(x: Tensor, rows?: RowContext): Tensor {
    return this.down.forward(
      swiglu(this.gate.forward(x, rows), this.up.forward(x, rows), this.activation),
      rows,
    );
  }
}
