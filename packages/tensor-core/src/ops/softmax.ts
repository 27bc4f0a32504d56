import { dispatch } from '../dispatch.js';
import { requireFloat, requireMinRank, requireSameShape } from './checks.js';
import { defineOps } from './definition.js';

/** Softmax over the last axis; the largest value is subtracted first. */
export const softmaxOps = defineOps<'softmax' | 'softmaxBackward' | 'logSoftmax'>({
  softmax: {
    infer: (inputs) => {
      requireFloat('softmax', inputs);
      requireMinRank('softmax', 'the input', inputs[0], 1);
      return [inputs[0]];
    },
    vjp: {
      saves: { outputs: [0] },
      gradients: ({ gradient, output }) => [dispatch('softmaxBackward', [gradient(), output()], {})[0]],
    },
    decompose: ([x]) => {
      const exponentials = x.sub(x.max(-1, true).detach()).exp();
      return [exponentials.div(exponentials.sum(-1, true))];
    },
  },
  // y · (g - Σ g·y)
  softmaxBackward: {
    infer: (inputs) => {
      requireSameShape('softmaxBackward', inputs);
      return [inputs[1]];
    },
    decompose: ([g, y]) => {
      const product = g.mul(y);
      return [product.sub(y.mul(product.sum(-1, true)))];
    },
  },
  logSoftmax: {
    infer: (inputs) => {
      requireFloat('logSoftmax', inputs);
      requireMinRank('logSoftmax', 'the input', inputs[0], 1);
      return [inputs[0]];
    },
    vjp: {
      saves: { outputs: [0] },
      gradients: ({ gradient, output }) => [gradient().sub(output().exp().mul(gradient().sum(-1, true)))],
    },
    decompose: ([x]) => {
      const shifted = x.sub(x.max(-1, true).detach());
      return [shifted.sub(shifted.exp().sum(-1, true).log())];
    },
  },
});
