import { defineKernels } from './kernels.js';
import { rawInPlace, readFloats } from './values.js';

export const optimizerKernels = defineKernels<'adamw'>({
  adamw: ([parameter, first, second, gradient, scale, finite], _, attributes) => {
    if (readFloats(finite)[0] === 0) return;
    const { learningRate, beta1, beta2, epsilon, weightDecay, step } = attributes;
    const [p, m, v] = [rawInPlace(parameter), rawInPlace(first), rawInPlace(second)];
    const g = readFloats(gradient);
    const factor = readFloats(scale)[0];
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
  },
});
