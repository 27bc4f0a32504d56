import { squaredOutput } from '@frugal/compress';
import type { Tensor } from '@frugal/tensor-core';
import type { Grid } from './grid.js';
import { roundTrip } from './round-trip.js';

export interface Consumer {
  /** Row-major [rows, columns]. */
  readonly weight: Float32Array;
  readonly shape: readonly [number, number];
}

export interface AwqOptions {
  readonly grid: Grid;
  /** f32 [columns, columns]: Σ x xᵀ of the inputs that all consumers share. */
  readonly gram: Tensor;
  /** f32 [columns]: mean |x| of each column. */
  readonly absMean: Float32Array;
  /** How many exponents between 0 and 1 are tried. */
  readonly steps?: number;
}

export interface AwqResult {
  /** What weight columns are multiplied by, and activations divided by. */
  readonly scales: Float32Array;
  /** The exponent that was best; 0 leaves everything as it is. */
  readonly exponent: number;
  /** Squared output error over the calibration rows with and without the scales. */
  readonly error: number;
  readonly errorBefore: number;
}

/**
 * Activation-aware scales (Lin et al. 2023, arXiv:2306.00978): columns that meet large activations are made larger
 * before rounding, s = mean|x|^a, with the exponent that changes the layers' outputs least. The output error of a
 * rounding W + D is tr(D G Dᵀ), so the gram matrix stands for all calibration rows.
 */
export async function awqScales(consumers: readonly Consumer[], options: AwqOptions): Promise<AwqResult> {
  const { absMean, steps = 20 } = options;
  let best: { scales: Float32Array; exponent: number; error: number } | null = null;
  let errorBefore = 0;
  for (let step = 0; step < steps; step++) {
    const exponent = step / steps;
    const scales = scalesFor(absMean, exponent);
    let error = 0;
    for (const consumer of consumers) error += await scaledError(consumer, scales, options);
    if (step === 0) errorBefore = error;
    if (!best || error < best.error) best = { scales, exponent, error };
  }
  return { ...(best as NonNullable<typeof best>), errorBefore };
}

/** mean|x|^a, brought to a geometric middle of 1 between smallest and largest. */
function scalesFor(absMean: Float32Array, exponent: number): Float32Array {
  const powers = absMean.map((mean) => Math.max(mean ** exponent, 1e-4));
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const power of powers) {
    low = Math.min(low, power);
    high = Math.max(high, power);
  }
  const middle = Math.sqrt(low * high);
  return powers.map((power) => power / middle);
}

async function scaledError(
  { weight, shape }: Consumer,
  scales: Float32Array,
  { grid, gram }: AwqOptions,
): Promise<number> {
  const columns = shape[1];
  const rounded = roundTrip(
    weight.map((value, i) => value * scales[i % columns]),
    shape,
    grid,
  );
  const difference = rounded.map((value, i) => value / scales[i % columns] - weight[i]);
  return squaredOutput(difference, shape, gram);
}
