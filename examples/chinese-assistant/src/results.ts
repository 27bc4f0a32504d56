import type { SyntheticReport } from '@frugal/data';
import type { Accuracy } from '@frugal/eval';
import { formatChange, formatNumber, renderTable } from '@frugal/report';
import type { Compressed } from './compressed.js';
import type { Steps } from './prepare.js';

const percent = (share: number) => formatNumber(100 * share, { decimals: 1, unit: '%' });
const whole = (count: number) => count.toLocaleString('en-US');
const signed = (share: number) => `${share > 0 ? '+' : ''}${formatNumber(100 * share, { decimals: 1 })}`;

export function printSteps(steps: Steps): void {
  const columns = [{ title: 'step' }, { title: 'entries' }, { title: 'kept' }, { title: 'gone' }];
  const rows = [...steps].map(([name, { documents, kept, removed }]) => {
    const reasons = Object.entries(removed).sort((a, b) => b[1] - a[1]);
    return [
      name,
      whole(documents),
      whole(kept),
      reasons.map(([reason, count]) => `${reason} ${count}`).join(', '),
    ];
  });
  console.log(`${renderTable(columns, rows)}\n`);
}

/** A model after one part of its training. */
export interface Stage {
  readonly name: string;
  readonly general: number;
  readonly domain: number;
  readonly accuracy: Accuracy;
}

export function printStages(stages: readonly Stage[]): void {
  const columns = [
    { title: 'model' },
    { title: '三国 bits/byte', decimals: 3 },
    { title: 'idioms bits/byte', decimals: 3 },
    { title: 'exam' },
    { title: '95 % interval' },
  ];
  const rows = stages.map(({ name, general, domain, accuracy: { accuracy, interval } }) => [
    name,
    general,
    domain,
    percent(accuracy),
    interval.map(percent).join(' to '),
  ]);
  console.log(`\n${renderTable(columns, rows)}\n`);
}

export function printLoop({ rounds, stopped, perplexity = Number.NaN }: SyntheticReport): void {
  const columns = [
    { title: 'round' },
    { title: 'written' },
    { title: 'kept' },
    { title: 'gone' },
    { title: 'gain on practice' },
    { title: 'perplexity' },
  ];
  const rows = rounds.map(({ round, candidates, accepted, rejected, gain, perplexity: after }) => [
    round,
    candidates,
    accepted,
    Object.entries(rejected)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', '),
    gain && `${signed(gain.difference)} (${signed(gain.low)} to ${signed(gain.high)})`,
    after !== undefined ? formatChange(perplexity, after) : null,
  ]);
  console.log(`${renderTable(columns, rows)}\n\nthe loop ended: ${stopped}`);
}

export function printCompressed(bytes: number, all: readonly Compressed[]): void {
  const columns = [
    { title: 'form' },
    { title: 'size', format: 'bytes' as const },
    { title: 'exam' },
    { title: 'change in points' },
    { title: 'other answers' },
    { title: 'p', digits: 2 },
  ];
  const dense = all[0].accuracy.reference;
  const rows = all.map(({ name, bytes: size, accuracy }) => [
    name,
    size,
    percent(accuracy.candidate),
    `${signed(accuracy.difference)} (${accuracy.interval.map(signed).join(' to ')})`,
    accuracy.gained + accuracy.lost,
    accuracy.pValue,
  ]);
  console.log(renderTable(columns, [['dense', bytes, percent(dense), null, null, null], ...rows]));
}
