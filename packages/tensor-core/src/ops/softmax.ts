import { dispatch } from '../dispatch.js';
import { requireCount, requireDType, requireFloat, requireMinRank, requireSameShape } from './checks.js';
import { defineOps } from './definition.js';
import { scatterAddAlongAxis, topK } from './functions.js';

/** Softmax over the last axis; the largest value is subtracted first. */
export const softmaxOps = defineOps<'softmax' | 'softmaxBackward' | 'logSoftmax' | 'softmaxTopK'>({
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
  // Routers of experts: logits f32 [..., E] → (softmax [..., E], its k largest [..., k], descending, their indices i32).
  softmaxTopK: {
    infer: ([logits], { k }) => {
      requireDType('softmaxTopK', 'the logits', logits, 'f32');
      requireMinRank('softmaxTopK', 'the logits', logits, 1);
      requireCount('softmaxTopK', logits, k);
      const shape = [...logits.shape.slice(0, -1), k];
      return [logits, { shape, dtype: 'f32' }, { shape, dtype: 'i32' }];
    },
    vjp: {
      saves: { outputs: [0, 2] },
      constantOutputs: [2],
      gradients: ({ gradient, received, output, inputInfos: [logits] }) => {
        const axis = logits.shape.length - 1;
        const chosen = received(1) && scatterAddAlongAxis(output(2), gradient(1), axis, logits.shape[axis]);
        const all = !chosen ? gradient(0) : received(0) ? gradient(0).add(chosen) : chosen;
        return [dispatch('softmaxBackward', [all, output(0)], {})[0]];
      },
    },
    decompose: ([logits], { k }) => {
      const probabilities = logits.softmax();
      const { values, indices } = topK(probabilities, k);
      return [probabilities, values, indices];
    },
  },
});
