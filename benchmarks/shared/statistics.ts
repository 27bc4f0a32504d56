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
