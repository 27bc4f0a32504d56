import { ArgumentError, concat, fill, scatterAddAlongAxis, type Tensor, topK } from '@frugal/tensor-core';
import { logSumExp } from './elementary.js';

/** A teacher's distributions cut to its likeliest tokens. */
export interface TopLogs {
  /** i32 [M, k]. */
  readonly indices: Tensor;
  /** f32 [M, k + 1]: their log probabilities, and that of all other tokens together. */
  readonly logs: Tensor;
}

/** Takes a token out of a sum of exponentials. */
const NEVER = -1e30;

/** The `k` likeliest tokens of each row of logits f32 [M, V], which a temperature has softened already. */
export function topLogs(logits: Tensor, k: number): TopLogs {
  if (!(Number.isInteger(k) && k > 0 && k <= logits.shape[1])) {
    throw new ArgumentError({
      where: 'topLogs',
      what: 'topK out of range',
      got: String(k),
      expected: `1 to ${logits.shape[1]}`,
    });
  }
  const { indices } = topK(logits, k);
  return { indices, logs: logsAt(logits, indices) };
}

/**
 * Log probabilities [M, k + 1] of the tokens `indices` [M, k] and of all others together. The remainder is a sum of its
 * own: 1 minus the others would leave no digits of a small one.
 */
export function logsAt(logits: Tensor, indices: Tensor): Tensor {
  const chosen = logits.takeAlongAxis(indices, 1);
  const never = fill({ shape: indices.shape, dtype: 'f32' }, NEVER, logits.backend);
  const others = logits.add(scatterAddAlongAxis(indices, never, 1, logits.shape[1]));
  const parts = concat([chosen, logSumExp(others)], 1);
  return parts.sub(logSumExp(parts));
}
