import { crossEntropy, keep, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';

/** Tokens, and which predictions of them count. */
export interface ScoredSequence {
  readonly ids: Int32Array;
  /** Position i predicts `target`, which need not be token i + 1: several candidates may share a position. */
  readonly pairs: readonly (readonly [position: number, target: number])[];
}

/** Logits held at a time, in numbers: 64 MB. */
const LOGITS_AT_ONCE = 2 ** 24;

/**
 * Negative log-likelihoods in nats of all pairs, sequence after sequence, from one forward pass. They come in pieces, so
 * that not all logits exist at once.
 */
export async function* tokenLosses(
  model: CausalLM,
  sequences: readonly ScoredSequence[],
): AsyncGenerator<Float32Array> {
  const backend = model.parameters()[0]?.value.backend;
  const { rows, places, targets } = flatten(sequences);
  const hidden = scope(() =>
    noGrad(() => {
      const ids = sequences.map((sequence) => sequence.ids);
      const batch = stepBatch(ids, { vocabularySize: model.vocabularySize, logits: rows, backend });
      return keep(model.forward(batch).hidden); // [rows, C]
    }),
  );
  try {
    const piece = Math.max(1, Math.floor(LOGITS_AT_ONCE / model.vocabularySize));
    for (let from = 0; from < targets.length; from += piece) {
      const to = Math.min(targets.length, from + piece);
      const losses = scope(() =>
        noGrad(() => {
          const chosen = pick(hidden, places.subarray(from, to), from);
          return crossEntropy(
            model.head.forward(chosen).cast('f32'),
            tensor(targets.slice(from, to), { backend }),
          );
        }),
      );
      yield await losses.toFloat32().finally(() => losses.dispose());
    }
  } finally {
    hidden.dispose();
  }
}

/** Rows whose outputs are needed, each once; and for every pair its place among them and its target. */
function flatten(sequences: readonly ScoredSequence[]) {
  const rows: number[] = [];
  const places: number[] = [];
  const targets: number[] = [];
  let start = 0;
  for (const { ids, pairs } of sequences) {
    for (const [position, target] of pairs) {
      const row = start + position;
      if (rows.at(-1) !== row) rows.push(row);
      places.push(rows.length - 1);
      targets.push(target);
    }
    start += ids.length;
  }
  return { rows, places: Int32Array.from(places), targets: Int32Array.from(targets) };
}

/** [M, C]; without a copy where places are neighbours, as in running text. */
function pick(hidden: Tensor, places: Int32Array, from: number): Tensor {
  if (places.every((place, i) => place === from + i)) return hidden.slice(0, from, from + places.length);
  return hidden.gatherRows(tensor(places, { backend: hidden.backend }));
}

/** Neighbouring items that one forward pass takes together. */
export function groupByLength<Item>(
  items: readonly Item[],
  lengthOf: (item: Item) => number,
  tokensPerStep: number,
): Item[][] {
  const groups: Item[][] = [];
  let room = 0;
  for (const item of items) {
    const length = lengthOf(item);
    if (groups.length === 0 || length > room) {
      groups.push([]);
      room = tokensPerStep;
    }
    groups[groups.length - 1].push(item);
    room -= length;
  }
  return groups;
}
