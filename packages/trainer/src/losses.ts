import { type Tensor, tensor } from '@frugal/tensor-core';
import { type CausalLM, nextTokenLoss, stepBatch, type TrainBatch } from '@frugal/tensor-core/nn';
import { TrainerError } from './errors.js';
import type { Loss } from './options.js';

/** Rows of a batch that are to be predicted: where a target is set and its weight is not 0. */
export interface TargetRows {
  readonly rows: readonly number[];
  /** [M]. */
  readonly targets: Int32Array;
  /** [M], or null when all are 1. */
  readonly weights: Float32Array | null;
  /** Σ weights. */
  readonly totalWeight: number;
}

/** @throws TrainerError when targets or weights do not fit the sequences, or nothing is to be predicted */
export function targetRows({ sequences, targets, weights }: TrainBatch): TargetRows {
  const tokens = countTokens(sequences);
  if (targets.length !== tokens || (weights && weights.length !== tokens)) {
    throw new TrainerError({
      where: 'batch',
      what: 'targets and weights need one entry per token',
      got: `${targets.length} targets${weights ? ` and ${weights.length} weights` : ''}`,
      expected: String(tokens),
    });
  }
  const rows: number[] = [];
  targets.forEach((target, row) => {
    if (target !== -100 && weights?.[row] !== 0) rows.push(row);
  });
  if (rows.length === 0) {
    throw new TrainerError({
      where: 'batch',
      what: 'nothing in it is to be predicted',
      got: `${sequences.length} sequences without targets`,
      hint: 'Leave sequences without answers out of the data.',
    });
  }
  const chosen = weights ? Float32Array.from(rows, (row) => weights[row]) : null;
  return {
    rows,
    targets: Int32Array.from(rows, (row) => targets[row]),
    weights: chosen,
    totalWeight: chosen ? chosen.reduce((sum, weight) => sum + weight, 0) : rows.length,
  };
}

/** Values of each micro-batch that somebody wants to see, such as the loads of experts. */
export interface LossObserver {
  /** Names of what the model shall collect. */
  readonly collect: ReadonlySet<string>;
  /** Called once per micro-batch, however often its blocks are computed. */
  observe(collected: ReadonlyMap<string, Tensor>): void;
}

/** Next-token cross-entropy in nats, plus what the model's layers ask for (balancing of experts): pretraining, and fine-tuning with weights or targets on the answers only. */
export function languageModelLoss(model: CausalLM, observer?: LossObserver): Loss<TrainBatch> {
  return (batch) => {
    const { rows, targets, weights, totalWeight } = targetRows(batch);
    const { vocabularySize } = model;
    const input = stepBatch(batch.sequences, { vocabularySize, logits: rows, collect: observer?.collect });
    const { hidden, losses, collected, checks } = model.forward(input);
    observer?.observe(collected);
    let sum = nextTokenLoss(hidden, model.head, tensor(targets), weights && tensor(weights));
    // Means over the step's rows, so that they count as much in a small micro-batch as in a large one.
    for (const loss of losses.values()) sum = sum.add(loss.mul(totalWeight));
    return { sum, weight: totalWeight, tokens: countTokens(batch.sequences), checks };
  };
}

/** Of all sequences. */
export function countTokens(sequences: readonly Int32Array[]): number {
  return sequences.reduce((sum, { length }) => sum + length, 0);
}
