import { formatChange, formatDuration, renderTable } from '@frugal/report';
import type { Outcome } from './runs.js';

const columns = [
  { title: 'run' },
  { title: 'last shares', align: 'right' as const },
  { title: 'received per step', format: 'bytes' as const },
  { title: 'bits/byte', decimals: 4 },
  { title: 'weights' },
  { title: 'time', format: 'duration' as const },
];

/** All runs, the first of which is what the weights of the others are compared with. */
export function printRuns(runs: ReadonlyMap<string, Outcome>): void {
  const [alone] = runs.values();
  const rows = [...runs].map(([name, { shares, bytesPerStep, bitsPerByte, weights, seconds }]) => [
    name,
    (shares.at(-1) ?? []).join(':'),
    bytesPerStep || null,
    bitsPerByte,
    weights === alone.weights ? 'the same' : 'others',
    seconds,
  ]);
  console.log(`\n${renderTable(columns, rows)}\n`);
}

/** `8:8 for 3 steps, then 11:5 for 197`. */
export function historyOf(shares: Outcome['shares']): string {
  const spans: { readonly text: string; steps: number }[] = [];
  for (const text of shares.map((each) => each.join(':'))) {
    const last = spans.at(-1);
    if (last?.text === text) last.steps++;
    else spans.push({ text, steps: 1 });
  }
  return spans.map(({ text, steps }) => `${text} for ${steps}`).join(', ');
}

/** What the runs say, in words. */
export function printFindings(
  alone: Outcome,
  local: Outcome,
  synchronous?: { readonly equal: Outcome; readonly measured: Outcome },
): void {
  if (synchronous) {
    const { equal, measured } = synchronous;
    console.log(`shares by measured speed, in steps: ${historyOf(measured.shares)}`);
    console.log(
      `time with them: ${formatDuration(measured.seconds)}, with equal shares ${formatDuration(equal.seconds)}`,
    );
    const times = (measured.bytesPerStep / local.bytesPerStep).toFixed(0);
    console.log(`rare exchanges: 1/${times} of the bytes`);
  }
  console.log(`bits per byte of rare exchanges: ${formatChange(alone.bitsPerByte, local.bitsPerByte)}`);
}
