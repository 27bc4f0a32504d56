import type { GateActivation, TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** Gate and up as one tensor [..., 2F], where they lie side by side: two halves of one product. */
function joined(gate: TensorView, up: TensorView): Operand | null {
  const last = gate.shape.length - 1;
  const F = gate.shape[last];
  const isBeside =
    gate.storage === up.storage &&
    up.offset === gate.offset + F &&
    gate.strides[last] === 1 &&
    gate.strides.every((stride, axis) => stride === up.strides[axis]);
  return isBeside ? { ...operandOf(gate), shape: [...gate.shape.slice(0, -1), 2 * F] } : null;
}

function activate(device: Device, activation: GateActivation, x: Operand, result: Operand): void {
  if (activation === 'silu') device.run('Silu', x, result);
  else device.run('GeluV2', x, activation === 'gelu-tanh' ? 1 : 0, result);
}

/** Gated activations. To join two tensors first would cost more than the fused op saves: they take two ops. */
export const gateKernels: FusedFamily<'swiglu' | 'swigluBackward'> = (device) => ({
  swiglu: {
    takes: ([gate], { activation }) => gate.shape.length > 0 && activation !== 'relu',
    run: ([gate, up], [output], { activation }) => {
      const both = activation === 'silu' && device.has('SwiGlu') ? joined(gate, up) : null;
      if (both) return device.run('SwiGlu', both, gate.shape.length - 1, operandOf(output));
      const active = device.scratch(gate.shape, gate.dtype);
      activate(device, activation, operandOf(gate), active);
      device.run('Mul', active, operandOf(up), operandOf(output));
    },
  },

  swigluBackward: {
    takes: (_, { activation }) => activation === 'silu' && device.has('SiluBackward'),
    run: ([gradient, gate, up], [dgate, dup]) => {
      const [g, x] = [operandOf(gradient), operandOf(gate)];
      const [inner, active] = [
        device.scratch(gate.shape, gate.dtype),
        device.scratch(gate.shape, gate.dtype),
      ];
      device.run('Mul', g, operandOf(up), inner);
      device.run('SiluBackward', inner, x, operandOf(dgate));
      device.run('Silu', x, active);
      device.run('Mul', g, active, operandOf(dup));
    },
  },
});
