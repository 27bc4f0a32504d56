import { noGrad, sort, type Tensor } from '@frugal/tensor-core';
import {
  type LogitHead,
  requireRows,
  type StreamOptions,
  streamLogits,
  weightedSum,
} from '@frugal/tensor-core/nn';
import type { Teacher } from './divergence-loss.js';

/**
 * Σ over rows of weight · Σ_i |p_(i) - q_(i)| of next-token probabilities, each side sorted, the smaller vocabulary padded
 * with zeros: distillation across tokenizers, where ids have nothing in common (ULD, Boizard et al. 2024,
 * arXiv:2402.12030). Rows of student `hidden` [M, C] and of the teacher must stand at the same places of the text.
 */
export function uldLoss(
  hidden: Tensor,
  head: LogitHead,
  teacher: Teacher,
  options: StreamOptions & { readonly temperature?: number; readonly weights?: Tensor | null } = {},
): Tensor {
  const { temperature = 1, weights = null } = options;
  requireRows('uldLoss', hidden, { weights, teacher: teacher.hidden });
  const descending = (logits: Tensor) =>
    sort(
      logits
        .cast('f32')
        .mul(1 / temperature)
        .softmax(),
      { descending: true },
    ).values;
  const loss = (logits: Tensor, start: number, end: number) => {
    const target = noGrad(() => descending(teacher.head.forward(teacher.hidden.slice(0, start, end))));
    return weightedSum(sortedDistance(descending(logits), target), weights, start, end);
  };
  return streamLogits(hidden, head, loss, options);
}

/** Σ |q - p| per row; probabilities that the other side has no counterpart for count whole. */
function sortedDistance(q: Tensor, p: Tensor): Tensor {
  const shared = Math.min(q.shape[1], p.shape[1]);
  const distance = q
    .slice(1, 0, shared)
    .sub(p.slice(1, 0, shared))
    .abs()
    .sum(-1);
  const longer = q.shape[1] > shared ? q : p;
  if (longer.shape[1] === shared) return distance;
  return distance.add(longer.slice(1, shared, longer.shape[1]).sum(-1));
}
