import type { Tensor } from '../tensor.js';
import type { GateActivation } from './specs.js';

// Alone in its file: whoever imports it from outside would otherwise enter the circle of ops and dispatch in the middle.

/** The activation of an MLP by name. */
export function applyActivation(activation: GateActivation, x: Tensor): Tensor {
  switch (activation) {
    case 'silu':
      return x.silu();
    case 'relu':
      return x.relu();
    case 'gelu':
      return x.gelu();
    case 'gelu-tanh':
      return x.gelu('tanh');
  }
}
