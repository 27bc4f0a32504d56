/** Token sequences with what shall be predicted, on the host; turned into tensors inside the step that uses them. */
export interface TrainBatch {
  readonly sequences: readonly Int32Array[];
  /** One per token of all sequences, flat: the token to predict there, -100 for none. */
  readonly targets: Int32Array;
  /** One per token: how much its loss counts; 1 when left out. */
  readonly weights?: Float32Array;
  /** What the teacher reads instead of each sequence, when it has other tokens; may be empty … */
  readonly teacher?: readonly Int32Array[];
  /** … and rows of both, flat, that stand at the same place of the text; left out: all rows, in order. */
  readonly rowPairs?: { readonly student: Int32Array; readonly teacher: Int32Array };
  /** What a teacher predicts after each token, when it was asked earlier. */
  readonly distributions?: StoredDistributions;
}

/** Next-token distributions of N rows, cut to their likeliest tokens, on the host. */
export interface StoredDistributions {
  /** Tokens that are kept of each. */
  readonly topK: number;
  /** [N · topK] ids. */
  readonly indices: Int32Array;
  /** f32 [N · (topK + 1)]: logarithms of their probabilities, and of all other tokens together. */
  readonly logs: Float32Array;
}

/** An endless, seekable stream of batches: `restore(state())` continues exactly. */
export interface BatchSource<Batch = TrainBatch> {
  next(): Batch | Promise<Batch>;
  /** JSON. */
  state(): unknown;
  restore(state: unknown): void;
}

/** Plain next-token prediction: each token's target is the one after it, none for the last. */
export function nextTokenBatch(sequences: readonly Int32Array[]): TrainBatch {
  const targets = new Int32Array(sequences.reduce((sum, { length }) => sum + length, 0));
  let row = 0;
  for (const sequence of sequences) {
    targets.set(sequence.subarray(1), row);
    row += sequence.length;
    targets[row - 1] = -100;
  }
  return { sequences, targets };
}
