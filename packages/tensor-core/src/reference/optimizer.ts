import type { TensorView } from '../backend.js';
import type { AdamWAttributes } from '../ops/specs.js';
import { defineKernels } from './kernels.js';
import { rawInPlace, readFloats, writeFloats } from './values.js';

function updateGroup(
  [parameter, first, second, gradient, copy]: readonly TensorView[],
  factor: number,
  { learningRate, beta1, beta2, epsilon, weightDecay, step }: AdamWAttributes,
): void {
  const [p, m, v] = [rawInPlace(parameter), rawInPlace(first), rawInPlace(second)];
  const g = readFloats(gradient);
  const stepSize = learningRate / (1 - beta1 ** step);
  const secondCorrection = 1 / (1 - beta2 ** step);
  const decay = 1 - learningRate * weightDecay;
  for (let i = 0; i < p.length; i++) {
    const value = g[i] * factor;
    const nextFirst = beta1 * m[i] + (1 - beta1) * value;
    const nextSecond = beta2 * v[i] + (1 - beta2) * value * value;
    p[i] = p[i] * decay - (stepSize * nextFirst) / (Math.sqrt(nextSecond * secondCorrection) + epsilon);
    m[i] = nextFirst;
    v[i] = nextSecond;
  }
  if (copy) writeFloats(copy, (out) => out.set(p as Float32Array));
}

export const optimizerKernels = defineKernels<'adamw'>({
  adamw: (inputs, _, attributes) => {
    const [scale, finite] = inputs.slice(-2).map((factor) => readFloats(factor)[0]);
    if (finite === 0) return;
    const width = attributes.copies ? 5 : 4;
    for (let i = 0; i + width <= inputs.length - 2; i += width)
      updateGroup(inputs.slice(i, i + width), scale, attributes);
  },
});
