import { noGrad, type Tensor } from '@frugal/tensor-core';
import {
  type LogitHead,
  requireRows,
  type StreamOptions,
  streamLogits,
  weightedSum,
} from '@frugal/tensor-core/nn';
import { type Divergence, forwardKL } from './divergences.js';
import { logsAt, type TopLogs, topLogs } from './top-logs.js';

/** What distillation needs of the model that teaches: hidden states [M, C] of the student's rows, without gradients. */
export interface Teacher {
  readonly hidden: Tensor;
  readonly head: LogitHead;
}

export interface DivergenceOptions extends StreamOptions {
  /** Default: KL(teacher ‖ student). */
  readonly divergence?: Divergence;
  /** Softens both distributions. */
  readonly temperature?: number;
  /** f32 [M]: how much each row counts; 1 when left out. */
  readonly weights?: Tensor | null;
  /** Compare the teacher's likeliest tokens alone, and all others as one. */
  readonly topK?: number | undefined;
  /** Ids that both know, from 0: what padding adds behind them is left out. */
  readonly vocabulary?: number | undefined;
}

/** Pieces that stay in the processor's caches: a divergence goes over its logits many times. */
const PIECE_BYTES = 8 * 2 ** 20;

/**
 * T² Σ over rows of weight · divergence of the next-token distributions softmax(logits / T), student `hidden` [M, C]
 * through `head` against the teacher. The factor T² keeps gradients of different temperatures alike (Hinton et al.).
 */
export function divergenceLoss(
  hidden: Tensor,
  head: LogitHead,
  teacher: Teacher,
  options: DivergenceOptions = {},
): Tensor {
  const { divergence = forwardKL, temperature = 1, weights = null, topK, vocabulary } = options;
  const { maximumLogitBytes = PIECE_BYTES } = options;
  requireRows('divergenceLoss', hidden, { weights, teacher: teacher.hidden });
  const rowLosses = (logits: Tensor, start: number, end: number): Tensor => {
    const student = known(logits, vocabulary).cast('f32');
    const theirs = noGrad(() =>
      known(teacher.head.forward(teacher.hidden.slice(0, start, end)), vocabulary).cast('f32'),
    );
    if (topK !== undefined) {
      const top = noGrad(() => topLogs(softened(theirs, temperature), topK));
      return divergence.ofLogs(logsAt(softened(student, temperature), top.indices), top.logs);
    }
    if (divergence.ofLogits) return divergence.ofLogits(student, theirs, temperature);
    const target = noGrad(() => softened(theirs, temperature).logSoftmax());
    return divergence.ofLogs(softened(student, temperature).logSoftmax(), target);
  };
  const loss = (logits: Tensor, start: number, end: number) =>
    weightedSum(rowLosses(logits, start, end), weights, start, end);
  return streamLogits(hidden, head, loss, { maximumLogitBytes }).mul(temperature ** 2);
}

/** The same against distributions that were stored; they were softened by `temperature` when they were made. */
export function storedDivergenceLoss(
  hidden: Tensor,
  head: LogitHead,
  { indices, logs }: TopLogs,
  options: Omit<DivergenceOptions, 'topK'> = {},
): Tensor {
  const { divergence = forwardKL, temperature = 1, weights = null, vocabulary } = options;
  const { maximumLogitBytes = PIECE_BYTES } = options;
  requireRows('storedDivergenceLoss', hidden, { weights, indices, logs });
  const loss = (logits: Tensor, start: number, end: number) => {
    const student = softened(known(logits, vocabulary).cast('f32'), temperature);
    const own = logsAt(student, indices.slice(0, start, end));
    return weightedSum(divergence.ofLogs(own, logs.slice(0, start, end)), weights, start, end);
  };
  return streamLogits(hidden, head, loss, { maximumLogitBytes }).mul(temperature ** 2);
}

function known(logits: Tensor, vocabulary = logits.shape[1]): Tensor {
  return vocabulary === logits.shape[1] ? logits : logits.slice(1, 0, vocabulary);
}

function softened(logits: Tensor, temperature: number): Tensor {
  return temperature === 1 ? logits : logits.mul(1 / temperature);
}
