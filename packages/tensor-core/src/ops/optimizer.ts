import { requireDType, requireFloat, requireSameShape, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';

export const optimizerOps = defineOps<'adamw'>({
  // (parameter, first moment, second moment, gradient, scale [], finite []): Loshchilov & Hutter 2019, as torch does it.
  // The gradient is multiplied by `scale` (clipping, loss scale); with finite = 0 nothing changes at all.
  adamw: {
    mutates: [0, 1, 2],
    infer: (inputs) => {
      const [parameter, first, second, gradient, scale, finite] = inputs;
      for (const state of [parameter, first, second])
        requireDType('adamw', 'parameter and moments', state, 'f32');
      requireFloat('adamw', [gradient]);
      requireSameShape('adamw', [parameter, first, second, gradient]);
      for (const factor of [scale, finite]) {
        requireDType('adamw', 'scale and finite', factor, 'f32');
        requireShape('adamw', 'scale and finite', factor, [], inputs);
      }
      return [];
    },
    decompose: ([parameter, first, second, gradient, scale, finite], attributes) => {
      const { learningRate, beta1, beta2, epsilon, weightDecay, step } = attributes;
      const apply = finite.equal(0).logicalNot();
      const g = gradient.cast('f32').mul(scale);
      const nextFirst = first.mul(beta1).add(g.mul(1 - beta1));
      const nextSecond = second.mul(beta2).add(g.mul(g).mul(1 - beta2));
      const denominator = nextSecond
        .mul(1 / (1 - beta2 ** step))
        .sqrt()
        .add(epsilon);
      const update = nextFirst.mul(learningRate / (1 - beta1 ** step)).div(denominator);
      // Not parameter · (1 - rate · decay): rounded to f32, that factor drifts over many steps.
      const next = parameter.sub(parameter.mul(learningRate * weightDecay).add(update));
      parameter.assign(where(apply, next, parameter));
      first.assign(where(apply, nextFirst, first));
      second.assign(where(apply, nextSecond, second));
      return [];
    },
  },
});
