import { ArgumentError, type Backend, IndexError, type Tensor, tensor } from '../index.js';
import type { CacheView } from './cache.js';
import type { RowContext } from './linear.js';

/**
 * The input of one forward pass, flat and ragged: training with packed sequences, chunked prefill mixed with
 * decode, and the verification of drafts are the same call.
 */
export interface StepBatch extends RowContext {
  /** i32 [N]. */
  readonly tokens: Tensor;
  /** i32 [N]: position of each token in its sequence. */
  readonly positions: Tensor;
  /** i32 [S + 1]: row where each sequence starts; the last entry is N. */
  readonly sequenceStarts: Tensor;
  /** i32 [M]: rows whose hidden states (and logits) are wanted, ascending. */
  readonly logitRows: Tensor;
  /** Keys and values of earlier steps; without it each sequence is complete in itself. */
  readonly cache?: CacheView | undefined;
  /** Names of values to keep in `Output.collected`, e.g. `blocks.3.hidden`. */
  readonly collect?: ReadonlySet<string> | undefined;
}

/** Every tensor of a batch that differs from step to step, in a fixed order. */
export function batchInputs(batch: StepBatch): Tensor[] {
  const { tokens, positions, sequenceStarts, logitRows, adapterOfRow, cache } = batch;
  const own = [tokens, positions, sequenceStarts, logitRows, ...(adapterOfRow ? [adapterOfRow] : [])];
  return [...own, ...(cache?.inputs ?? [])];
}

export interface StepBatchOptions {
  /** Ids must be below this. */
  readonly vocabularySize: number;
  /** `all`: every row; `last`: the last row of each sequence; or chosen rows, ascending. */
  readonly logits?: 'all' | 'last' | readonly number[];
  /** Position of the first token of each sequence, default 0. */
  readonly startPositions?: readonly number[];
  readonly cache?: CacheView;
  readonly adapters?: readonly number[];
  readonly collect?: ReadonlySet<string> | undefined;
  readonly backend?: Backend;
}

/**
 * Packs token sequences into a batch.
 * @throws IndexError for an id outside the vocabulary, ArgumentError for an empty sequence or unordered logit rows
 */
export function stepBatch(sequences: readonly ArrayLike<number>[], options: StepBatchOptions): StepBatch {
  const { logits = 'all', backend } = options;
  const total = sequences.reduce((sum, sequence) => sum + sequence.length, 0);
  const tokens = new Int32Array(total);
  const positions = new Int32Array(total);
  const starts = new Int32Array(sequences.length + 1);
  let row = 0;
  sequences.forEach((sequence, s) => {
    if (sequence.length === 0) {
      throw new ArgumentError({
        where: 'stepBatch',
        what: `sequence ${s} is empty`,
        hint: 'Start with the BOS token.',
      });
    }
    const first = options.startPositions?.[s] ?? 0;
    for (let i = 0; i < sequence.length; i++, row++) {
      const id = sequence[i];
      if (!(Number.isInteger(id) && id >= 0 && id < options.vocabularySize)) {
        throw new IndexError({
          where: 'stepBatch',
          what: `token id out of range at position ${i} of sequence ${s}`,
          got: String(id),
          expected: `0 to ${options.vocabularySize - 1}`,
          hint: 'Use the tokenizer that belongs to the model.',
        });
      }
      tokens[row] = id;
      positions[row] = first + i;
    }
    starts[s + 1] = row;
  });
  const adapters = options.adapters;
  const perRow =
    adapters && Int32Array.from(tokens, (_, i) => adapters[starts.findIndex((start) => start > i) - 1]);
  return {
    tokens: tensor(tokens, { backend }),
    positions: tensor(positions, { backend }),
    sequenceStarts: tensor(starts, { backend }),
    logitRows: tensor(Int32Array.from(rowsWanted(logits, starts)), { backend }),
    cache: options.cache,
    adapterOfRow: perRow && tensor(perRow, { backend }),
    collect: options.collect,
  };
}

function rowsWanted(logits: 'all' | 'last' | readonly number[], starts: Int32Array): readonly number[] {
  const total = starts[starts.length - 1];
  if (logits === 'all') return Array.from({ length: total }, (_, i) => i);
  if (logits === 'last') return Array.from(starts.subarray(1), (end) => end - 1);
  // As many ascending rows as there are tokens are all rows: models then need not gather them.
  const bad = logits.findIndex(
    (row, i) => !(Number.isInteger(row) && row > (logits[i - 1] ?? -1) && row < total),
  );
  if (bad < 0) return logits;
  throw new ArgumentError({
    where: 'stepBatch',
    what: `logits: row ${bad} of the list is out of place`,
    got: String(logits[bad]),
    expected: `ascending rows from 0 to ${total - 1}, each once`,
  });
}
