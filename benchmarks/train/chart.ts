import { barChart } from '@frugal/report';
import { median, quantile } from '../shared/statistics.js';

/** Tokens per second of every contender, with the range of the middle 80 %. */
export function chartOf(
  measured: ReadonlyMap<string, { readonly speed: readonly number[] }>,
  subtitle: string,
): string {
  const entries = [...measured].sort(([, a], [, b]) => median(b.speed) - median(a.speed));
  return barChart({
    title: 'Training step',
    subtitle,
    xLabel: 'tokens per second',
    categories: entries.map(([name]) => name),
    series: [
      {
        name: 'tokens per second',
        values: entries.map(([, { speed }]) => median(speed)),
        intervals: entries.map(([, { speed }]) => [quantile(speed, 0.1), quantile(speed, 0.9)] as const),
      },
    ],
  });
}
