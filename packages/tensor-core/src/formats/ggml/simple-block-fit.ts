import { f16ToFloat, floatToF16 } from '../../dtype.js';

// Scales of single blocks for the smallest Σ weight · (value - decoded)²: many first guesses, each improved by least
// squares, all judged with numbers as they will be stored. Guesses that cut a block's extreme values off are among them:
// right where those values lie in columns that hardly count.

const half = (value: number) => f16ToFloat(floatToF16(value));

export interface ScaleSearch {
  /** One for each value. */
  readonly weights: Float32Array;
  /** Scales to begin with. */
  readonly guesses: readonly number[];
  /** The nearest number that a code stands for, in units of the scale. */
  level(scaled: number): number;
}

/** The best f16 scale d for value ≈ d · level. */
export function fitScale(values: Float32Array, { weights, guesses, level }: ScaleSearch): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  /** Judges one scale; returns the one that suits its levels better. */
  const consider = (wished: number) => {
    const d = half(wished);
    let [error, dot, squares] = [0, 0, 0];
    for (let i = 0; i < values.length; i++) {
      const nearest = level(d === 0 ? 0 : values[i] / d);
      const weighted = weights[i] * nearest;
      error += weights[i] * (values[i] - d * nearest) ** 2;
      dot += weighted * values[i];
      squares += weighted * nearest;
    }
    if (error < least) [least, best] = [error, d];
    return squares === 0 ? 0 : dot / squares;
  };
  for (const guess of guesses) consider(consider(guess));
  return best;
}

export interface SignedAffineFit {
  readonly scale: number;
  readonly low: number;
}

/** What is left of the distance from 0 to either end of a block in first guesses. */
const SHARES = [1, 0.85, 0.7, 0.5, 0.3];

/** The best f16 numbers for value ≈ scale · code + low with codes 0 … largest. */
export function fitSignedAffine(
  values: Float32Array,
  weights: Float32Array,
  largest: number,
): SignedAffineFit {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const middle = (low + high) / 2;
  let [best, least] = [{ scale: 0, low: half(low) }, Number.POSITIVE_INFINITY];
  const consider = (wished: SignedAffineFit): SignedAffineFit => {
    const fit = { scale: half(wished.scale), low: half(wished.low) };
    const { error, better } = judge(values, weights, largest, fit);
    if (error < least) [least, best] = [error, fit];
    return better;
  };
  for (const below of SHARES) {
    for (const above of SHARES) {
      const from = middle - below * (middle - low);
      const first = { scale: (middle + above * (high - middle) - from) / largest, low: from };
      consider(consider(consider(first)));
    }
  }
  // Close to the full range small steps count: the more codes, the more.
  for (let step = -9; step <= 36; step++) {
    consider(consider(consider({ scale: (high - low) / (largest + 0.1 * step), low })));
  }
  return best;
}

/** The weighted error of a fit, and the least-squares fit for its codes. */
function judge(
  values: Float32Array,
  weights: Float32Array,
  largest: number,
  { scale, low }: SignedAffineFit,
): { error: number; better: SignedAffineFit } {
  let [error, sum, sumCode, sumSquare, sumValue, sumProduct] = [0, 0, 0, 0, 0, 0];
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < values.length; i++) {
    const weight = weights[i];
    const code = Math.min(largest, Math.max(0, Math.round((values[i] - low) * inverse)));
    error += weight * (values[i] - scale * code - low) ** 2;
    sum += weight;
    sumCode += weight * code;
    sumSquare += weight * code * code;
    sumValue += weight * values[i];
    sumProduct += weight * code * values[i];
  }
  const determinant = sum * sumSquare - sumCode * sumCode;
  if (determinant <= 1e-12 * sum * sumSquare) return { error, better: { scale: 0, low: sumValue / sum } };
  const slope = (sum * sumProduct - sumCode * sumValue) / determinant;
  return { error, better: { scale: Math.max(0, slope), low: (sumValue - slope * sumCode) / sum } };
}
