import { dispatch } from '../dispatch.js';
import type { Tensor } from '../tensor.js';
import { applyActivation } from './apply-activation.js';
import { requireFloat, requireSameDType, requireSameShape } from './checks.js';
import { defineOps } from './definition.js';
import type { GateActivation } from './specs.js';

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

function geluTanhInner(x: Tensor): Tensor {
  return x.add(x.mul(x).mul(x).mul(0.044715)).mul(SQRT_2_OVER_PI);
}

/** d activation(x) / dx. */
export function activationDerivative(activation: GateActivation, x: Tensor): Tensor {
  switch (activation) {
    case 'silu': {
      const s = x.sigmoid();
      return s.mul(x.mul(s.neg().add(1)).add(1));
    }
    case 'relu':
      return x.sign().maximum(0);
    case 'gelu': {
      const cdf = x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
      const density = x
        .mul(x)
        .mul(-0.5)
        .exp()
        .mul(1 / Math.sqrt(2 * Math.PI));
      return cdf.add(x.mul(density));
    }
    case 'gelu-tanh': {
      const t = geluTanhInner(x).tanh();
      const inner = x
        .mul(x)
        .mul(3 * 0.044715)
        .add(1)
        .mul(SQRT_2_OVER_PI);
      return t
        .add(1)
        .mul(0.5)
        .add(x.mul(0.5).mul(t.mul(t).neg().add(1)).mul(inner));
    }
  }
}

export const activationOps = defineOps<'silu' | 'gelu' | 'swiglu' | 'swigluBackward'>({
  silu: {
    infer: (inputs) => {
      requireFloat('silu', inputs);
      return [inputs[0]];
    },
    vjp: {
      saves: { inputs: [0] },
      gradients: ({ gradient, input }) => [gradient().mul(activationDerivative('silu', input(0)))],
    },
    decompose: ([x]) => [x.mul(x.sigmoid())],
  },
  gelu: {
    infer: (inputs) => {
      requireFloat('gelu', inputs);
      return [inputs[0]];
    },
    vjp: {
      saves: { inputs: [0] },
      gradients: ({ gradient, input, attributes: { approximate } }) => [
        gradient().mul(activationDerivative(approximate === 'tanh' ? 'gelu-tanh' : 'gelu', input(0))),
      ],
    },
    decompose: ([x], { approximate }) => {
      const gate = approximate === 'tanh' ? geluTanhInner(x).tanh() : x.mul(Math.SQRT1_2).erf();
      return [x.mul(0.5).mul(gate.add(1))];
    },
  },
  // activation(gate) · up: the gated MLP (Shazeer 2020, arXiv:2002.05202); SwiGLU when the activation is silu.
  swiglu: {
    infer: (inputs) => {
      requireFloat('swiglu', inputs);
      requireSameDType('swiglu', inputs);
      requireSameShape('swiglu', inputs);
      return [inputs[0]];
    },
    vjp: {
      saves: { inputs: [0, 1] },
      gradients: ({ gradient, input, attributes }) =>
        dispatch('swigluBackward', [gradient(), input(0), input(1)], attributes),
    },
    decompose: ([gate, up], { activation }) => [applyActivation(activation, gate).mul(up)],
  },
  swigluBackward: {
    infer: (inputs) => {
      requireSameShape('swigluBackward', inputs);
      return [inputs[1], inputs[2]];
    },
    decompose: ([g, gate, up], { activation }) => [
      g.mul(up).mul(activationDerivative(activation, gate)),
      g.mul(applyActivation(activation, gate)),
    ],
  },
});
