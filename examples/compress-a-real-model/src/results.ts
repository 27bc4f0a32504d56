import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import { type Column, htmlPage, renderTable, scatterChart } from '@frugal/report';
import type { Measured } from './evaluate.js';

const columns: Column[] = [
  { title: 'model' },
  { title: 'parameters', digits: 3 },
  { title: 'size', format: 'bytes' },
  { title: 'bits/byte', decimals: 4 },
  { title: 'change (95 % interval)' },
  { title: 'prompt tok/s', digits: 3 },
  { title: 'new tok/s', digits: 3 },
];

const rowsOf = (all: readonly Measured[]) =>
  all.map(({ name, parameters, bytes, bitsPerByte, change, promptTokensPerSecond, newTokensPerSecond }) => [
    name,
    parameters,
    bytes,
    bitsPerByte,
    change && changeText(change),
    promptTokensPerSecond,
    newTokensPerSecond,
  ]);

/** `+1.3 % (+0.9 to +1.7)`. */
function changeText([value, low, high]: readonly number[]): string {
  const [first, ...rest] = [value, low, high].map(
    (percent) => `${percent >= 0 ? '+' : '−'}${Math.abs(percent).toFixed(1)}`,
  );
  return `${first} % (${rest.join(' to ')})`;
}

export function printResults(label: string, all: readonly Measured[]): void {
  console.log(`\n${label} and what was made of it:\n\n${renderTable(columns, rowsOf(all))}\n`);
  console.log('bits/byte: held-out speeches, lower is better. tok/s: one stream.');
}

/** A page with the table and two Pareto charts; the first of them also as a picture. */
export async function saveResults(folder: string, label: string, all: readonly Measured[]): Promise<string> {
  const points = (x: (one: Measured) => number) => [
    { name: 'models', points: all.map((one) => ({ label: one.name, x: x(one), y: one.bitsPerByte })) },
  ];
  const size = scatterChart({
    title: `${label}: size against quality`,
    xLabel: 'megabytes',
    yLabel: 'bits per byte of held-out speeches',
    frontier: { x: 'lowest', y: 'lowest' },
    series: points(({ bytes }) => bytes / 1e6),
  });
  const speed = scatterChart({
    title: `${label}: speed against quality`,
    xLabel: 'new tokens per second of one stream',
    yLabel: 'bits per byte of held-out speeches',
    frontier: { x: 'highest', y: 'lowest' },
    series: points(({ newTokensPerSecond }) => newTokensPerSecond),
  });
  const sections = [
    { title: 'Results', table: { columns, rows: rowsOf(all) } },
    { title: 'Charts', charts: [size, speed] },
  ];
  const page = join(folder, 'report.html');
  await saveFile(page, htmlPage({ title: `${label}, compressed`, sections }));
  await saveFile(join(folder, 'pareto.svg'), size);
  await saveFile(join(folder, 'results.json'), `${JSON.stringify(all, null, 2)}\n`);
  return page;
}
