import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { median, spread } from './statistics.js';

/** One comparison: all repeats of both sides, taken in turns. */
export interface Row {
  readonly name: string;
  readonly peer: string | null;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** What a row says: medians, and the median of the ratios of neighbouring repeats. */
export function summarize({ name, peer, unit, ours, theirs }: Row) {
  const ratios = ours.map((value, i) => value / theirs[i]).filter(Number.isFinite);
  return {
    name,
    peer,
    ours: median(ours),
    theirs: theirs.length ? median(theirs) : null,
    ratio: ratios.length ? median(ratios) : null,
    unit,
  };
}

export function machine(): string {
  return `${processor()}, ${cpus().length} threads, Node ${process.version}`;
}

/** The name, which hypervisors shorten, and on Linux what tells generations apart. */
function processor(): string {
  const { model } = cpus()[0];
  const text = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const family = text.match(/^cpu family\s*: (\d+)$/m);
  const number = text.match(/^model\s*: (\d+)$/m);
  return family && number ? `${model} (family ${family[1]}, model ${number[1]})` : model;
}

/** Prints rows, and writes them as JSON when the arguments have `--json FILE`. */
export function report(rows: readonly Row[], notes: Readonly<Record<string, unknown>> = {}): void {
  console.log(`machine: ${machine()}`);
  for (const row of rows) {
    const { ratio } = summarize(row);
    const theirs = row.theirs.length ? `, ${row.peer} ${spread(row.theirs)}, ratio ${ratio?.toFixed(2)}` : '';
    console.log(`${row.name}: ${spread(row.ours)} ${row.unit}${theirs}`);
  }
  const at = process.argv.indexOf('--json');
  if (at < 0) return;
  const file = process.argv[at + 1];
  mkdirSync(dirname(file), { recursive: true });
  const data = {
    machine: machine(),
    date: new Date().toISOString().slice(0, 10),
    ...notes,
    rows: rows.map((row) => ({ ...summarize(row), samples: row })),
  };
  writeFileSync(file, `${JSON.stringify(data, null, 2)}\n`);
}
