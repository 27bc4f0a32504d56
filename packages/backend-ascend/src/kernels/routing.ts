import { sizeOf } from '@frugal/tensor-core';
import { operandOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** Experts that one call chooses. */
const MOST_CHOSEN = 1024;
/** `renorm`: the softmax is of all logits, not of the chosen ones. */
const SOFTMAX_FIRST = 0;

/** The choice of experts. CANN's documents do not say which of equal experts comes first: as with `topK`, to be seen on a device. */
export const routingKernels: FusedFamily<'softmaxTopK'> = (device) => ({
  softmaxTopK: {
    takes: (_, { k }) => device.has('MoeGatingTopKSoftmaxV2') && k <= MOST_CHOSEN,
    run: ([logits], outputs, { k }) => {
      const E = logits.shape[logits.shape.length - 1];
      const rows = sizeOf(logits.shape) / E;
      const x = operandOf(logits);
      const plain = x.shape.length === 2 ? x : viewOf(device.contiguous(x), [rows, E], [E, 1]);
      const [probabilities, values, indices] = outputs.map((output, i) => {
        const columns = i === 0 ? E : k;
        return viewOf(operandOf(output), [rows, columns], [columns, 1]);
      });
      device.run(
        'MoeGatingTopKSoftmaxV2',
        plain,
        null,
        k,
        SOFTMAX_FIRST,
        true,
        values,
        indices,
        probabilities,
      );
    },
  },
});
