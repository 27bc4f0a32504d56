/** The q-quantile of values, by the nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))];
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** `3,840 (3,700 to 3,910)`: median and the range of the middle 80 %; small numbers with four decimals. */
export function spread(values: readonly number[]): string {
  const digits = Math.abs(median(values)) < 100 ? 4 : 0;
  const format = (value: number) =>
    value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return `${format(median(values))} (${format(quantile(values, 0.1))} to ${format(quantile(values, 0.9))})`;
}

export interface MeanInterval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
}

/** 97.5 % quantiles of Student's t with 1, 2, … degrees of freedom. */
const T_QUANTILES = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** The mean of a few independent values, such as one for each seed, and its 95 % interval by Student's t. @param values 2 to 10 */
export function meanInterval(values: readonly number[]): MeanInterval {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(
    values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1),
  );
  const half = (T_QUANTILES[values.length - 2] * deviation) / Math.sqrt(values.length);
  return { mean, low: mean - half, high: mean + half, confidence: 0.95 };
}
