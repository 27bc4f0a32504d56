import { bootstrapInterval, pairedBootstrap } from '@frugal/eval';
import { formatNumber, renderTable } from '@frugal/report';
import { COST, costOf } from './cost.js';
import { names, type Results } from './cross-validate.js';
import type { Table } from './table.js';

/** The mark: this much cheaper than the best baseline. */
const MARK = 0.3;

const total = (costs: readonly number[]) => costs.reduce((sum, cost) => sum + cost, 0);

/** The table, and how the networks stand beside the best baseline. */
export function printResults({ labels, read, sensors }: Table, { costs, bytes }: Results): void {
  const failures = labels.filter((label) => label === 1).length;
  console.log(
    `${read} rows, ${labels.length} of them different, ${sensors} sensors, ${failures} failures; cost = ${COST.falseAlarm} · false alarms + ${COST.missedFailure} · missed failures`,
  );
  const all: Record<string, readonly number[]> = {
    'never maintain': labels.map((label) => costOf(false, label)),
    'always maintain': labels.map((label) => costOf(true, label)),
    ...costs,
  };
  const rows = Object.entries(all).map(([name, each]) => {
    const [low, high] = bootstrapInterval(each, { resamples: 2_000 }).map((mean) =>
      formatNumber(Math.round(mean * each.length)),
    );
    const missed = each.filter((cost) => cost === COST.missedFailure).length;
    const alarms = each.filter((cost) => cost === COST.falseAlarm).length;
    return [name, total(each), `${low} to ${high}`, alarms, missed, bytes[name as keyof typeof bytes]];
  });
  const columns = [
    { title: 'model' },
    { title: 'cost', decimals: 0 },
    { title: '95 % interval', align: 'right' as const },
    { title: 'false alarms', decimals: 0 },
    { title: 'missed', decimals: 0 },
    { title: 'weights', format: 'bytes' as const },
  ];
  console.log(`\n${renderTable(columns, rows)}\n`);
  const baselines = ['never maintain', 'always maintain', names[0]];
  const best = baselines.reduce((a, b) => (total(all[b]) < total(all[a]) ? b : a));
  for (const name of names.slice(1)) console.log(compare(name, all[name], best, all[best]));
}

function compare(name: string, own: readonly number[], best: string, baseline: readonly number[]): string {
  const scores = own.map((first, i) => ({ first, second: baseline[i], weight: 1 }));
  const { low, high } = pairedBootstrap(scores, { resamples: 2_000 });
  const share = 1 - total(own) / total(baseline);
  const mark = share >= MARK ? 'reached' : 'missed';
  const interval = [low, high].map((value) => formatNumber(Math.round(value * own.length))).join(' to ');
  return `${name} against ${best}: ${(100 * share).toFixed(1)} % lower cost (difference ${interval}); the mark of ${100 * MARK} % is ${mark}`;
}
