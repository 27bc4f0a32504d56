import type { StoredDistributions, TrainBatch } from '@frugal/tensor-core/nn';

type RowPairs = NonNullable<TrainBatch['rowPairs']>;

/** How a micro-batch falls into units, each of which one process computes by itself. */
export interface BatchUnits<B> {
  count(batch: B): number;
  /** Units from … to-1, as a smaller batch. */
  slice(batch: B, from: number, to: number): B;
}

/** The unit is one sequence, with what its teacher reads instead of it. */
export const sequenceUnits: BatchUnits<TrainBatch> = {
  count: ({ sequences }) => sequences.length,
  slice({ sequences, targets, weights, teacher, rowPairs, distributions }, from, to) {
    const [start, end] = rowRange(sequences, from, to);
    const [others] = rowRange(teacher ?? sequences, from, to);
    return {
      sequences: sequences.slice(from, to),
      targets: targets.subarray(start, end),
      ...(weights && { weights: weights.subarray(start, end) }),
      ...(teacher && { teacher: teacher.slice(from, to) }),
      ...(rowPairs && { rowPairs: pairsOf(rowPairs, start, end, others) }),
      ...(distributions && { distributions: rowsOf(distributions, start, end) }),
    };
  },
};

/** Rows of sequences from … to-1, where all lie one behind the other. */
function rowRange(sequences: readonly Int32Array[], from: number, to: number): [start: number, end: number] {
  const tokensOf = (some: readonly Int32Array[]) => some.reduce((sum, { length }) => sum + length, 0);
  const start = tokensOf(sequences.slice(0, from));
  return [start, start + tokensOf(sequences.slice(from, to))];
}

/** Pairs whose student rows are start … end-1, counted from there; those of the teacher from `others`. */
function pairsOf({ student, teacher }: RowPairs, start: number, end: number, others: number): RowPairs {
  const isIn = (_: number, i: number) => student[i] >= start && student[i] < end;
  return {
    student: student.filter(isIn).map((row) => row - start),
    teacher: teacher.filter(isIn).map((row) => row - others),
  };
}

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
