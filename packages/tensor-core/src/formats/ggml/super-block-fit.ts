import { f16ToFloat, floatToF16 } from '../../dtype.js';

// Scales of super-blocks. Like ggml's make_qkx2_quants and make_qx_quants: several first guesses per sub-block, each
// improved by least squares; then the scales themselves are rounded, and their neighbours tried by their true error.
// All errors are Σ weight · (value - decoded)²; `weights` has one number for each value.

const half = (value: number) => f16ToFloat(floatToF16(value));
const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

export interface AffineShape {
  /** Columns per sub-block. */
  readonly width: number;
  readonly largestCode: number;
  /** Of the whole-number scales and minima. */
  readonly largestScale: number;
}

interface AffineFit {
  readonly scale: number;
  /** What is taken off, at least 0. */
  readonly min: number;
}

/** Weighted squared error of value ≈ scale · code - min with the best codes; keeps them in `codes` when given. */
function affineError(
  values: Float32Array,
  weights: Float32Array,
  largestCode: number,
  { scale, min }: AffineFit,
  codes?: Uint8Array,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    const code = clamp(Math.round((values[i] + min) * inverse), 0, largestCode);
    error += weights[i] * (values[i] - scale * code + min) ** 2;
    if (codes) codes[i] = code;
  }
  return error;
}

/** Least squares of value ≈ scale · code - min for the codes at a first guess. */
function improveAffine(
  values: Float32Array,
  weights: Float32Array,
  largestCode: number,
  [low, inverse]: readonly [number, number],
): AffineFit {
  let [sumWeight, sumCode, sumSquare, sumValue, sumProduct] = [0, 0, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const code = clamp(Math.round((values[i] - low) * inverse), 0, largestCode);
    const [weightedCode, weightedValue] = [weights[i] * code, weights[i] * values[i]];
    sumWeight += weights[i];
    sumCode += weightedCode;
    sumSquare += weightedCode * code;
    sumValue += weightedValue;
    sumProduct += code * weightedValue;
  }
  const determinant = sumWeight * sumSquare - sumCode * sumCode;
  if (determinant <= 0) return { scale: 0, min: Math.max(0, -sumValue / sumWeight) };
  const scale = (sumWeight * sumProduct - sumCode * sumValue) / determinant;
  const min = -(sumSquare * sumValue - sumCode * sumProduct) / determinant;
  if (min >= 0 && scale >= 0) return { scale, min };
  return { scale: sumSquare > 0 ? Math.max(0, sumProduct / sumSquare) : 0, min: 0 };
}

function bestAffine(values: Float32Array, weights: Float32Array, largestCode: number): AffineFit {
  let [low, high] = [0, values[0]];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high <= low) return { scale: 0, min: -low };
  let best: AffineFit = { scale: (high - low) / largestCode, min: -low };
  let least = affineError(values, weights, largestCode, best);
  const tryFrom = (lowest: number, inverse: number): AffineFit => {
    const candidate = improveAffine(values, weights, largestCode, [lowest, inverse]);
    const error = affineError(values, weights, largestCode, candidate);
    if (error < least) [least, best] = [error, candidate];
    return candidate;
  };
  for (let step = -10; step <= 20; step++) {
    const first = tryFrom(low, (largestCode + step * 0.1) / (high - low));
    if (first.scale > 0) tryFrom(-first.min, 1 / first.scale);
    // Without an offset: right where one value is far from all others.
    tryFrom(0, (largestCode + step * 0.1) / high);
  }
  return best;
}

/** Values and how much the squared error of each counts. */
type Weighted = readonly [values: Float32Array, weights: Float32Array];

interface AffineSuperFit {
  readonly d: number;
  readonly dMin: number;
  readonly scales: number[];
  readonly mins: number[];
  readonly error: number;
}

/** The best whole-number scales and minima near the wished ones, for given units; fills `codes`. */
function wholeAffine(
  [values, weights]: Weighted,
  { width, largestCode, largestScale }: AffineShape,
  wishes: readonly AffineFit[],
  [d, dMin]: readonly [number, number],
  codes: Uint8Array,
): AffineSuperFit {
  const scales: number[] = [];
  const mins: number[] = [];
  let total = 0;
  for (const [j, wish] of wishes.entries()) {
    const [from, to] = [j * width, (j + 1) * width];
    const [block, weight] = [values.subarray(from, to), weights.subarray(from, to)];
    const near = (wished: number, unit: number) =>
      [-1, 0, 1].map((step) => clamp(Math.round(unit === 0 ? 0 : wished / unit) + step, 0, largestScale));
    let [least, scale, min] = [Number.POSITIVE_INFINITY, 0, 0];
    for (const s of near(wish.scale, d)) {
      for (const m of near(wish.min, dMin)) {
        const error = affineError(block, weight, largestCode, { scale: d * s, min: dMin * m });
        if (error < least) [least, scale, min] = [error, s, m];
      }
    }
    scales.push(scale);
    mins.push(min);
    const fit = { scale: d * scale, min: dMin * min };
    total += affineError(block, weight, largestCode, fit, codes.subarray(from, to));
  }
  return { d, dMin, scales, mins, error: total };
}

/** Units by least squares for the codes and whole numbers of a fit. */
function improveUnits(
  [values, weights]: Weighted,
  width: number,
  { scales, mins }: AffineSuperFit,
  codes: Uint8Array,
): [number, number] {
  let [aa, ab, bb, ax, bx] = [0, 0, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const j = Math.floor(i / width);
    const [a, b] = [scales[j] * codes[i], -mins[j]];
    const [wa, wb] = [weights[i] * a, weights[i] * b];
    aa += wa * a;
    ab += wa * b;
    bb += wb * b;
    ax += wa * values[i];
    bx += wb * values[i];
  }
  const determinant = aa * bb - ab * ab;
  if (determinant <= 1e-9 * aa * bb) return [aa > 0 ? half(Math.max(0, ax / aa)) : 0, 0];
  return [
    half(Math.max(0, (ax * bb - bx * ab) / determinant)),
    half(Math.max(0, (bx * aa - ax * ab) / determinant)),
  ];
}

/** How often units are fitted anew to the codes. */
const ROUNDS = 3;

/** Scales and minima of a super-block as whole numbers times d and dMin; fills `codes`. */
export function fitAffine(
  values: Float32Array,
  weights: Float32Array,
  shape: AffineShape,
  codes: Uint8Array,
): AffineSuperFit {
  const { width, largestCode, largestScale } = shape;
  const wishes = Array.from({ length: values.length / width }, (_, j) =>
    bestAffine(
      values.subarray(j * width, (j + 1) * width),
      weights.subarray(j * width, (j + 1) * width),
      largestCode,
    ),
  );
  let units: readonly [number, number] = [
    half(Math.max(...wishes.map(({ scale }) => scale)) / largestScale),
    half(Math.max(...wishes.map(({ min }) => min)) / largestScale),
  ];
  let best: AffineSuperFit | null = null;
  const trial = new Uint8Array(values.length);
  for (let round = 0; round < ROUNDS; round++) {
    const fit = wholeAffine([values, weights], shape, wishes, units, trial);
    if (best && fit.error >= best.error) break;
    best = fit;
    codes.set(trial);
    units = improveUnits([values, weights], width, fit, trial);
  }
  return best as AffineSuperFit;
}

export interface SymmetricShape {
  readonly width: number;
  /** Codes stand for -half … half - 1. */
  readonly half: number;
  readonly lowestScale: number;
  readonly highestScale: number;
}

/** Weighted squared error of value ≈ scale · (code - half); keeps the best codes in `codes` when given. */
function symmetricError(
  [values, weights]: Weighted,
  halfRange: number,
  scale: number,
  codes?: Uint8Array,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    const level = clamp(Math.round(values[i] * inverse), -halfRange, halfRange - 1);
    error += weights[i] * (values[i] - scale * level) ** 2;
    if (codes) codes[i] = level + halfRange;
  }
  return error;
}

function bestSymmetric([values, weights]: Weighted, halfRange: number): number {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  if (extreme === 0) return 0;
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (let step = -9; step <= 9; step++) {
    const inverse = -(halfRange + 0.1 * step) / extreme;
    let [dot, squares] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      const level = clamp(Math.round(values[i] * inverse), -halfRange, halfRange - 1);
      dot += weights[i] * values[i] * level;
      squares += weights[i] * level * level;
    }
    const scale = squares > 0 ? dot / squares : 0;
    const error = symmetricError([values, weights], halfRange, scale);
    if (error < least) [least, best] = [error, scale];
  }
  return best;
}

interface SymmetricSuperFit {
  readonly d: number;
  readonly scales: number[];
}

/** The best whole-number scales near the wished ones, for a given unit; fills `codes`. */
function wholeSymmetric(
  block: (j: number) => Weighted,
  { width, half: halfRange, lowestScale, highestScale }: SymmetricShape,
  wishes: readonly number[],
  d: number,
  codes: Uint8Array,
): SymmetricSuperFit & { error: number } {
  let total = 0;
  const scales = wishes.map((wish, j) => {
    const nearest = Math.round(d === 0 ? 0 : wish / d);
    let [least, scale] = [Number.POSITIVE_INFINITY, 0];
    for (const step of [0, -1, 1, -2, 2]) {
      const candidate = clamp(nearest + step, lowestScale, highestScale);
      const error = symmetricError(block(j), halfRange, d * candidate);
      if (error < least) [least, scale] = [error, candidate];
    }
    total += symmetricError(block(j), halfRange, d * scale, codes.subarray(j * width, (j + 1) * width));
    return scale;
  });
  return { d, scales, error: total };
}

/** Scales of a super-block as whole numbers times d; fills `codes`. */
export function fitSymmetric(
  values: Float32Array,
  weights: Float32Array,
  shape: SymmetricShape,
  codes: Uint8Array,
): SymmetricSuperFit {
  const { width, half: halfRange, lowestScale } = shape;
  const block = (j: number): Weighted => [
    values.subarray(j * width, (j + 1) * width),
    weights.subarray(j * width, (j + 1) * width),
  ];
  const wishes = Array.from({ length: values.length / width }, (_, j) => bestSymmetric(block(j), halfRange));
  const extreme = wishes.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  let best = wholeSymmetric(block, shape, wishes, half(extreme / lowestScale), codes);
  const trial = new Uint8Array(values.length);
  for (let round = 1; round < ROUNDS; round++) {
    let [dot, squares] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      const level = best.scales[Math.floor(i / width)] * (codes[i] - halfRange);
      dot += weights[i] * level * values[i];
      squares += weights[i] * level * level;
    }
    const fit = wholeSymmetric(block, shape, wishes, squares > 0 ? half(dot / squares) : 0, trial);
    if (fit.error >= best.error) break;
    best = fit;
    codes.set(trial);
  }
  return best;
}
