import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuBackend, type Peaks } from '@frugal/backend-cpu';
import { formatNumber } from '@frugal/report';
import { machine, type Row, summarize } from '../shared/result.js';
import { spread } from '../shared/statistics.js';
import { type KernelCase, unitOf } from './case.js';
import { families } from './families.js';
import { measure, Peers, type Samples } from './measure.js';
import { type Point, pointOf, rooflineChart } from './roofline.js';

/**
 * Speeds of single kernels beside each installed peer, in turns, and beside what the processor can do at most:
 *   npm run bench -- kernels [--only PATTERN] [--threads N] [--json FILE] [--svg FILE]
 * PATTERN is a regular expression over names such as `matmul f32 1024, 2 threads`. With --json the picture of the
 * roofline is written beside it, unless --svg says where.
 */
const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    threads: { type: 'string' },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
});

const pattern = new RegExp(options.only);
const nameOf = ({ name, threads, isa }: KernelCase) =>
  `${name}${isa ? ` (${isa})` : ''}, ${threads} thread${threads === 1 ? '' : 's'}`;
const cases = families
  .flatMap(({ cases: all }) => all)
  .filter(
    (one) => pattern.test(nameOf(one)) && (!options.threads || one.threads === Number(options.threads)),
  );
if (cases.length === 0) {
  console.error(`no kernel matches ${options.only}; there are families: ${families.map((f) => f.name)}`);
  process.exit(2);
}

const peaksOf = new Map<string, Peaks>();
/** Peaks of the number of threads and the instruction set of a case. */
function peaks({ threads, isa }: KernelCase): Peaks {
  const key = `${threads} ${isa ?? ''}`;
  const known = peaksOf.get(key) ?? cpuBackend({ threads, isa }).measurePeaks();
  peaksOf.set(key, known);
  return known;
}

function rowsOf(one: KernelCase, { ours, peers }: Samples): Row[] {
  const base = { name: nameOf(one), unit: unitOf(one), ours };
  if (peers.length === 0) return [{ ...base, peer: null, theirs: [] }];
  return peers.map(({ peer, samples }) => ({ ...base, peer, theirs: samples }));
}

function print(point: Point, rows: readonly Row[]): void {
  const { one, share } = point;
  const what = one.bound === 'read' ? 'bandwidth' : `${one.bound} peak`;
  console.log(
    `${rows[0].name}: ${spread(rows[0].ours)} ${rows[0].unit}, ${(100 * share).toFixed(0)} % of ${what}`,
  );
  for (const row of rows) {
    if (row.peer)
      console.log(`    ${row.peer} ${spread(row.theirs)}, ratio ${summarize(row).ratio?.toFixed(2)}`);
  }
}

const started = new Peers();
const rows: Row[] = [];
const points: Point[] = [];
console.log(`machine: ${machine()}, ${cpuBackend().description}`);
for (const one of cases) {
  const samples = await measure(one, started);
  const point = pointOf(one, samples.ours, peaks(one));
  const mine = rowsOf(one, samples);
  print(point, mine);
  points.push(point);
  rows.push(...mine);
}
await started.quit();
for (const [key, { f32, bf16, int8, read }] of peaksOf) {
  const [threads, isa] = key.split(' ');
  const speeds = [f32, bf16, int8].map((peak) => formatNumber(peak * 1e9));
  console.log(
    `peaks of ${threads} threads${isa ? ` (${isa})` : ''}: f32 ${speeds[0]}, bf16 ${speeds[1]}, int8 ${speeds[2]} per second; reading ${read.toFixed(1)} GB/s`,
  );
}
write();

function write(): void {
  const svg = options.svg ?? options.json?.replace(/(\.json)?$/, '.svg');
  if (svg) {
    const threads = Math.max(...cases.map((one) => one.threads));
    const shown = points.filter(({ one }) => one.threads === threads && !one.isa);
    const roofs = peaksOf.get(`${threads} `);
    if (roofs) {
      mkdirSync(dirname(svg), { recursive: true });
      writeFileSync(svg, rooflineChart(shown, roofs, `${machine()}, ${threads} threads`));
    }
  }
  if (!options.json) return;
  mkdirSync(dirname(options.json), { recursive: true });
  const data = {
    machine: machine(),
    backend: cpuBackend().description,
    date: new Date().toISOString().slice(0, 10),
    seed: 1,
    peaks: Object.fromEntries(peaksOf),
    roofline: points.map(({ one, share }) => ({ name: nameOf(one), bound: one.bound, share })),
    rows: rows.map((row) => ({ ...summarize(row), samples: { ours: row.ours, theirs: row.theirs } })),
  };
  writeFileSync(options.json, `${JSON.stringify(data, null, 2)}\n`);
}
