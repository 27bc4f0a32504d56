import { wandaScores } from './scores.js';

/**
 * Share of the weights whose |w| · ‖x‖ is more than `factor` times the mean of the matrix: outliers, which a layer cannot
 * spare.
 * @param weight row-major [rows, columns]
 * @param squares [columns]: Σ x² of each input column
 */
export function outlierShare(weight: Float32Array, squares: Float32Array, factor: number): number {
  const scores = wandaScores(weight, squares);
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return scores.reduce((count, score) => count + (score > factor * mean ? 1 : 0), 0) / scores.length;
}

/** A part of a model that is given one sparsity. */
export interface OutlierShare {
  readonly share: number;
  /** How many weights it has. */
  readonly weights: number;
}

/**
 * A sparsity for each part, less where there are more outliers, and on average over all weights the `sparsity` asked for (OWL, Yin et al. 2023, arXiv:2310.05175): densities are the shares of outliers, stretched to
 * an interval of 2 · spread, or of less where a part would lose all of its weights, or get some back that it never lost.
 */
export function owlSparsities(parts: readonly OutlierShare[], sparsity: number, spread: number): number[] {
  const shares = parts.map(({ share }) => share);
  const low = Math.min(...shares);
  const width = Math.max(...shares) - low;
  const stretched = shares.map((share) => (width > 0 ? ((share - low) / width) * 2 * spread : 0));
  const all = parts.reduce((sum, { weights }) => sum + weights, 0);
  const mean = stretched.reduce((sum, value, i) => sum + value * parts[i].weights, 0) / all;
  const offsets = stretched.map((value) => value - mean);
  const shrink = Math.min(1, ...offsets.map((offset) => roomFor(offset, sparsity)));
  // What is left of a part that loses nothing may round to less than nothing.
  return offsets.map((offset) => Math.max(0, sparsity - shrink * offset));
}

/** How much of an offset leaves a part between nothing and almost everything. */
function roomFor(offset: number, sparsity: number): number {
  if (offset === 0) return 1;
  const most = Math.max(sparsity, 0.999);
  return offset > 0 ? sparsity / offset : (most - sparsity) / -offset;
}
