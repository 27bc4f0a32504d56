import type { GateActivation } from '../ops/specs.js';
import { errorFunction } from './error-function.js';
import { defineKernels } from './kernels.js';
import { sigmoid } from './unary.js';
import { readFloats, writeFloats } from './values.js';

interface Activation {
  value(x: number): number;
  derivative(x: number): number;
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

function normalCdf(x: number): number {
  return 0.5 * (1 + errorFunction(x * Math.SQRT1_2));
}

function normalDensity(x: number): number {
  return Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
}

function geluTanhGate(x: number): number {
  return Math.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
}

/** Values and derivatives by name. */
export const activations: Readonly<Record<GateActivation, Activation>> = {
  silu: {
    value: (x) => x * sigmoid(x),
    derivative: (x) => {
      const s = sigmoid(x);
      return s * (1 + x * (1 - s));
    },
  },
  relu: { value: (x) => Math.max(x, 0), derivative: (x) => (x > 0 ? 1 : 0) },
  gelu: { value: (x) => x * normalCdf(x), derivative: (x) => normalCdf(x) + x * normalDensity(x) },
  'gelu-tanh': {
    value: (x) => 0.5 * x * (1 + geluTanhGate(x)),
    derivative: (x) => {
      const gate = geluTanhGate(x);
      const slope = SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x);
      return 0.5 * (1 + gate) + 0.5 * x * (1 - gate * gate) * slope;
    },
  },
};

function mapInto(out: Float32Array, values: Float32Array, compute: (x: number) => number): void {
  for (let i = 0; i < out.length; i++) out[i] = compute(values[i]);
}

export const activationKernels = defineKernels<'silu' | 'gelu' | 'swiglu' | 'swigluBackward'>({
  silu: ([x], [output]) => writeFloats(output, (out) => mapInto(out, readFloats(x), activations.silu.value)),

  gelu: ([x], [output], { approximate }) => {
    const { value } = activations[approximate === 'tanh' ? 'gelu-tanh' : 'gelu'];
    writeFloats(output, (out) => mapInto(out, readFloats(x), value));
  },

  swiglu: ([gate, up], [output], { activation }) => {
    const [a, b] = [readFloats(gate), readFloats(up)];
    const { value } = activations[activation];
    writeFloats(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = value(a[i]) * b[i];
    });
  },

  swigluBackward: ([gradient, gate, up], [gateGradient, upGradient], { activation }) => {
    const [g, a, b] = [readFloats(gradient), readFloats(gate), readFloats(up)];
    const { value, derivative } = activations[activation];
    writeFloats(gateGradient, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = g[i] * b[i] * derivative(a[i]);
    });
    writeFloats(upGradient, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = g[i] * value(a[i]);
    });
  },
});
