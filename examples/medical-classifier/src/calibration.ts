import { softmax } from './regression.js';
import type { Case } from './split.js';

/** What a model makes of a case: the likeliest chapter, and its probability. */
export interface Prediction {
  readonly chapter: number;
  readonly confidence: number;
}

export function predict(scores: readonly Float32Array[], temperature: number): Prediction[] {
  return scores.map((row) => {
    const shares = softmax(row, temperature);
    const confidence = shares.reduce((a, b) => Math.max(a, b), 0);
    return { chapter: shares.indexOf(confidence), confidence };
  });
}

/**
 * The temperature at which the scores give the labels the highest likelihood (Guo et al. 2017, arXiv:1706.04599), by golden
 * section between 0.05 and 20. It changes how sure a model claims to be, never what it chooses.
 */
export function fitTemperature(scores: readonly Float32Array[], cases: readonly Case[]): number {
  const loss = (logarithm: number) =>
    scores.reduce(
      (sum, row, i) => sum - Math.log(softmax(row, Math.exp(logarithm))[cases[i].chapter] + 1e-12),
      0,
    );
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [Math.log(0.05), Math.log(20)];
  while (high - low > 1e-3) {
    const width = ratio * (high - low);
    if (loss(high - width) < loss(low + width)) high = low + width;
    else low = high - width;
  }
  return Math.exp((low + high) / 2);
}

/**
 * The lowest confidence from which on the answers are right as often as `wanted`; Infinity when no answers are. Cases below
 * it are refused: a person looks at them.
 */
export function refusalThreshold(
  predictions: readonly Prediction[],
  cases: readonly Case[],
  wanted: number,
): number {
  const order = [...predictions.keys()].sort((a, b) => predictions[b].confidence - predictions[a].confidence);
  let [right, threshold] = [0, Number.POSITIVE_INFINITY];
  for (const [rank, i] of order.entries()) {
    right += Number(predictions[i].chapter === cases[i].chapter);
    const next = predictions[order[rank + 1]]?.confidence ?? Number.NEGATIVE_INFINITY;
    const { confidence } = predictions[i];
    if (next < confidence && right >= wanted * (rank + 1)) threshold = confidence;
  }
  return threshold;
}
