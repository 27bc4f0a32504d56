import {
  collectGradients,
  concat,
  crossEntropy,
  customGradient,
  isRecording,
  noGrad,
  ShapeError,
  scope,
  type Tensor,
} from '../index.js';
import type { LogitHead } from './model.js';

export interface StreamOptions {
  /** Logits held at a time, in bytes of f32; more rows are done in pieces. */
  readonly maximumLogitBytes?: number;
}

const DEFAULT_LOGIT_BYTES = 64 * 2 ** 20;

/**
 * Σ over rows of a loss of logits that never exist all at once: `hidden` [M, C] goes through the head piece by
 * piece; `lossOfRows(logits [m, V], start, end)` returns a scalar. The gradients of a piece are taken while its logits
 * are there (as in Liger, Hsu et al. 2024, arXiv:2410.10989), so that nothing is computed twice.
 */
export function streamLogits(
  hidden: Tensor,
  head: LogitHead,
  lossOfRows: (logits: Tensor, start: number, end: number) => Tensor,
  { maximumLogitBytes = DEFAULT_LOGIT_BYTES }: StreamOptions = {},
): Tensor {
  const rows = hidden.shape[0];
  const step = Math.max(1, Math.floor(maximumLogitBytes / (4 * head.outFeatures)));
  if (rows <= step) return lossOfRows(head.forward(hidden), 0, rows);
  const gradients = new Map<Tensor, Tensor>();
  const pieces: Tensor[] = [];
  let total: Tensor | null = null;
  for (let start = 0; start < rows; start += step) {
    const end = Math.min(rows, start + step);
    const piece = noGrad(() => hidden.slice(0, start, end)).setRequiresGrad(hidden.requiresGrad);
    const loss = scope(() => {
      const part = lossOfRows(head.forward(piece), start, end);
      if (isRecording() && part.requiresGrad) collectGradients(part, gradients);
      return part.detach();
    });
    total = total ? noGrad(() => (total as Tensor).add(loss)) : loss;
    pieces.push(piece);
  }
  return withGradients(total as Tensor, hidden, pieces, gradients);
}

/** Lets a loss pass on gradients that are known already, times its own. */
function withGradients(
  loss: Tensor,
  hidden: Tensor,
  pieces: readonly Tensor[],
  gradients: Map<Tensor, Tensor>,
): Tensor {
  const ofPieces = pieces.flatMap((piece) => gradients.get(piece) ?? []);
  for (const piece of pieces) gradients.delete(piece);
  const ofHidden = ofPieces.length > 0 ? noGrad(() => concat(ofPieces)) : null;
  const [inputs, saved] = [[...gradients.keys()], [...gradients.values()]];
  if (ofHidden) {
    inputs.push(hidden);
    saved.push(ofHidden);
  }
  customGradient('streamLogits', inputs, saved, [loss], ({ gradient }, known) =>
    known.map((each) => each.cast('f32').mul(gradient(0)).cast(each.dtype)),
  );
  for (const each of [...ofPieces, ...saved]) each.dispose();
  return loss;
}

/** Σ of weighted next-token losses in nats. targets i32 [M] (-100: ignored), weights f32 [M] or none. */
export function nextTokenLoss(
  hidden: Tensor,
  head: LogitHead,
  targets: Tensor,
  weights: Tensor | null = null,
  options?: StreamOptions,
): Tensor {
  requireRows('nextTokenLoss', hidden, { targets, weights });
  const loss = (logits: Tensor, start: number, end: number) =>
    weightedSum(crossEntropy(logits, targets.slice(0, start, end)), weights, start, end);
  return streamLogits(hidden, head, loss, options);
}

/**
 * Refuses what has not one entry per row of hidden states: pieces are cut from all of them, so a longer one would go
 * unnoticed, and be out of step. @throws ShapeError
 */
export function requireRows(
  where: string,
  hidden: Tensor,
  others: Readonly<Record<string, Tensor | null>>,
): void {
  for (const [name, other] of Object.entries(others)) {
    if (!other || other.shape[0] === hidden.shape[0]) continue;
    throw new ShapeError({
      where,
      what: `${name} and hidden states differ in rows`,
      got: `${other.shape[0]} and ${hidden.shape[0]}`,
      hint: 'Each row of hidden states needs one entry.',
    });
  }
}

/** Σ of rows start … end-1 of a loss, each times its weight f32 [M]. */
export function weightedSum(losses: Tensor, weights: Tensor | null, start: number, end: number): Tensor {
  return (weights ? losses.mul(weights.slice(0, start, end)) : losses).sum();
}
