import { renderTable } from '@frugal/report';
import type { Report } from './training.js';

export interface Measured {
  readonly name: string;
  readonly where: string;
  readonly steps: number;
  readonly bitsPerByte: number;
  readonly bytes: number;
}

/** The model after each part of its life. */
export function printLife(rows: readonly Measured[]): void {
  const columns = [
    { title: 'model' },
    { title: 'where' },
    { title: 'steps' },
    { title: 'bits/byte', decimals: 4 },
    { title: 'size', format: 'bytes' as const },
  ];
  const cells = rows.map(({ name, where, steps, bitsPerByte, bytes }) => [
    name,
    where,
    steps,
    bitsPerByte,
    bytes,
  ]);
  console.log(`\n${renderTable(columns, cells)}\n`);
}

/** How far the losses of two runs from one checkpoint are apart, at most. */
export function largestGap(a: Report, b: Report): number {
  return Math.max(...a.losses.map((loss, i) => Math.abs(loss - b.losses[i])));
}
