import { type Column, htmlPage, lineChart, renderTable } from '@frugal/report';
import type { SynthesisOutcome } from './synthesize.js';

const columns: readonly Column[] = [
  { title: 'round' },
  { title: 'written' },
  { title: 'examples' },
  { title: 'diversity', decimals: 3 },
  { title: 'gain, nats per token', decimals: 4 },
  { title: '95 % interval' },
  { title: 'real text, perplexity', decimals: 2 },
  { title: 'model', align: 'left' },
];

const rowsOf = ({ rounds }: SynthesisOutcome) =>
  rounds.map(({ round, candidates, accepted, diversity, gain, perplexity, kept }) => [
    round,
    candidates,
    accepted,
    diversity,
    gain?.difference,
    gain && `${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}`,
    perplexity,
    kept ? 'kept' : 'dropped',
  ]);

/** What each round brought, for a terminal. */
export function reportTable(outcome: SynthesisOutcome): string {
  return renderTable(columns, rowsOf(outcome));
}

/** The same as a self-contained HTML page. */
export function reportPage(outcome: SynthesisOutcome, out: string): string {
  const { rounds, loss, stopped, heldOut } = outcome;
  let last = loss.before;
  const points = rounds.flatMap(({ round, gain, kept }) => {
    if (!gain) return [];
    const point = { round, value: last - gain.difference, low: last - gain.high, high: last - gain.low };
    if (kept) last = point.value;
    return [point];
  });
  const series = (name: string, of: (point: (typeof points)[number]) => number) => ({
    name,
    points: points.map((point) => [point.round, of(point)] as const),
  });
  const chart = lineChart({
    title: `Loss of ${heldOut} held-out real examples`,
    xLabel: 'round',
    yLabel: 'nats per token',
    height: 300,
    series: [
      { name: 'loss', points: [[0, loss.before] as const, ...series('', (point) => point.value).points] },
      series('interval of its change, low', (point) => point.low),
      series('high', (point) => point.high),
    ],
  });
  const reasons = rounds.flatMap(({ round, rejected }) =>
    Object.entries(rejected).map(([reason, count]) => [round, reason, count]),
  );
  return htmlPage({
    title: out,
    subtitle: `${loss.before.toFixed(4)} → ${loss.after.toFixed(4)} nats per token; ${stopped}.`,
    sections: [
      { charts: points.length > 0 ? [chart] : [], table: { columns, rows: rowsOf(outcome) } },
      {
        title: 'What was not used',
        table: {
          columns: [{ title: 'round' }, { title: 'reason', align: 'left' }, { title: 'examples' }],
          rows: reasons,
        },
      },
    ],
  });
}
