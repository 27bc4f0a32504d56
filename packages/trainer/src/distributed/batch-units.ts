import type { StoredDistributions, TrainBatch } from '@frugal/tensor-core/nn';
import { TrainerError } from '../errors.js';

/** How a micro-batch falls into units, each of which one process computes by itself. */
export interface BatchUnits<B> {
  count(batch: B): number;
  /** Units from … to-1, as a smaller batch. */
  slice(batch: B, from: number, to: number): B;
}

/** The unit is one sequence. @throws TrainerError for batches in the tokens of two tokenizers */
export const sequenceUnits: BatchUnits<TrainBatch> = {
  count: ({ sequences }) => sequences.length,
  slice({ sequences, targets, weights, teacher, rowPairs, distributions }, from, to) {
    if (teacher || rowPairs) {
      throw new TrainerError({
        where: 'distributed',
        what: 'batches in the tokens of two tokenizers cannot be divided among processes',
        hint: 'Give distributed.units, or train in one process.',
      });
    }
    const tokensOf = (some: readonly Int32Array[]) => some.reduce((sum, { length }) => sum + length, 0);
    const start = tokensOf(sequences.slice(0, from));
    const end = start + tokensOf(sequences.slice(from, to));
    return {
      sequences: sequences.slice(from, to),
      targets: targets.subarray(start, end),
      ...(weights && { weights: weights.subarray(start, end) }),
      ...(distributions && { distributions: rowsOf(distributions, start, end) }),
    };
  },
};

function rowsOf(
  { topK, indices, logs }: StoredDistributions,
  start: number,
  end: number,
): StoredDistributions {
  return {
    topK,
    indices: indices.subarray(start * topK, end * topK),
    logs: logs.subarray(start * (topK + 1), end * (topK + 1)),
  };
}
