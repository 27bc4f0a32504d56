import { checkpoint, concat, crossEntropy, type Tensor, tensor } from '@frugal/tensor-core';
import { type CausalLM, type LogitHead, stepBatch } from '@frugal/tensor-core/nn';
import { countTokens, targetRows } from './losses.js';

/** A text with what is to be judged in it: the token after each one, -100 where it does not count. */
export interface TargetSequence {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

/** Logits held at a time, in bytes of f32. */
const LOGIT_BYTES = 64 * 2 ** 20;

/**
 * log p(target) of each row in nats: hidden [M, C], targets [M] → f32 [M], with gradients. More rows than fit into
 * 64 MiB of logits are done in pieces, whose logits are computed again backward.
 */
export function tokenLogProbs(hidden: Tensor, head: LogitHead, targets: Int32Array): Tensor {
  const rows = hidden.shape[0];
  const step = Math.max(1, Math.floor(LOGIT_BYTES / (4 * head.outFeatures)));
  const logProbs = (x: Tensor, start: number) =>
    crossEntropy(head.forward(x).cast('f32'), tensor(targets.slice(start, start + x.shape[0]))).neg();
  if (rows <= step) return logProbs(hidden, 0);
  const pieces: Tensor[] = [];
  for (let start = 0; start < rows; start += step) {
    const piece = hidden.slice(0, start, Math.min(rows, start + step));
    pieces.push(checkpoint((x) => logProbs(x, start), piece));
  }
  return concat(pieces);
}

/** What a model says about the targets of several texts. */
export interface ScoredTargets {
  /** f32 [M]: log p of each target, in the order of the texts. */
  readonly logProbs: Tensor;
  /** [M]: index of the text of each target. */
  readonly sequenceOf: Int32Array;
  /** [S]: targets of each text. */
  readonly counts: Int32Array;
  /** Tokens that were read. */
  readonly tokens: number;
  /** Losses that layers ask for beside (balancing of experts), f32 []. */
  readonly losses: readonly Tensor[];
}

/** One forward pass over all texts. @throws TrainerError when nothing in them counts */
export function scoreTargets(model: CausalLM, texts: readonly TargetSequence[]): ScoredTargets {
  const sequences = texts.map(({ tokens }) => tokens);
  const all = new Int32Array(countTokens(sequences));
  const textOfRow = new Int32Array(all.length);
  let row = 0;
  for (const [i, { tokens, targets }] of texts.entries()) {
    all.set(targets, row);
    textOfRow.fill(i, row, row + tokens.length);
    row += tokens.length;
  }
  const { rows, targets } = targetRows({ sequences, targets: all });
  const { vocabularySize } = model;
  const { hidden, losses } = model.forward(stepBatch(sequences, { vocabularySize, logits: rows }));
  const sequenceOf = Int32Array.from(rows, (at) => textOfRow[at]);
  const counts = new Int32Array(texts.length);
  for (const text of sequenceOf) counts[text]++;
  const logProbs = tokenLogProbs(hidden, model.head, targets);
  return { logProbs, sequenceOf, counts, tokens: all.length, losses: [...losses.values()] };
}
