import { barChart } from '@frugal/report';
import { machine } from '../shared/result.js';
import type { Claim } from './claim.js';

/** What is left of each cost, beside what the article leaves of it. */
export function chartOf(claims: readonly Claim[]): string {
  const bars = claims.flatMap(({ bar }) => bar ?? []);
  return barChart({
    title: 'What is left of the cost',
    subtitle: `shorter is better; ${machine()}`,
    xLabel: 'percent of the other side',
    categories: bars.map(({ label }) => label),
    series: [
      { name: 'measured', values: bars.map(({ remains }) => remains) },
      { name: 'promised', values: bars.map(({ promised }) => promised) },
    ],
  });
}
