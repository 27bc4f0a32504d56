import { operandOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** Experts that one call chooses. */
const MOST_CHOSEN = 1024;
/** `renorm`: the softmax is of all logits, not of the chosen ones. */
const SOFTMAX_FIRST = 0;

/** The choice of experts. CANN's documents do not say which of equal experts comes first: as with `topK`, to be seen on a device. */
export const routingKernels: FusedFamily<'softmaxTopK'> = (device) => ({
  softmaxTopK: {
    takes: ([{ shape }], { k }) =>
      device.has('MoeGatingTopKSoftmaxV2') && k <= MOST_CHOSEN && (shape.length === 2 || shape.length === 3),
    run: ([logits], [probabilities, values, indices], { k }) =>
      device.run(
        'MoeGatingTopKSoftmaxV2',
        ...([operandOf(logits), null, k, SOFTMAX_FIRST, true] as const),
        ...([operandOf(values), operandOf(indices), operandOf(probabilities)] as const),
      ),
  },
});
