import { parseArgs } from 'node:util';
import { type Column, formatNumber, renderTable } from '@frugal/report';
import { type Backend, primitiveOps, referenceBackend } from '@frugal/tensor-core';
import { type ConformanceMode, runConformance } from '@frugal/tensor-core/conformance';
import { openWasmBackend } from './backend.js';
import { trainSmallLlama } from './training.js';

/** Packed weights have most cases, and only one kernel here. */
const isPacked = (op: string) => op === 'unpack' || op.startsWith('packed');

/** One row per mode; prints what failed. Returns whether nothing did. */
async function prove(backend: Backend, quick: boolean): Promise<boolean> {
  const modes: readonly ConformanceMode[] = quick
    ? ['contract', 'values']
    : ['contract', 'values', 'decomposed', 'gradients'];
  const filter = ({ op }: { op: string }) => !quick || !isPacked(op);
  const rows: [string, number, number, number][] = [];
  for (const mode of modes) {
    const report = await runConformance(backend, { modes: [mode], filter });
    rows.push([mode, report.passed, report.failed, report.skipped]);
    for (const { case: name, message } of report.failures.slice(0, 10))
      console.error(`${mode} ${name}: ${message}`);
  }
  const columns = ['mode', 'passed', 'failed', 'skipped'].map((title) => ({ title }));
  console.log(renderTable(columns, rows));
  return rows.every(([, , failed]) => failed === 0);
}

async function compareTraining(backend: Backend, steps: number): Promise<boolean> {
  const runs = [
    await trainSmallLlama(backend, { steps }),
    await trainSmallLlama(referenceBackend(), { steps }),
  ];
  const [ours, reference] = runs;
  const apart = Math.max(...ours.losses.map((loss, i) => Math.abs(loss - reference.losses[i])));
  const same = ours.tokens.join() === reference.tokens.join();
  const [first, last] = [ours.losses[0], ours.losses[steps - 1]].map((loss) => loss.toFixed(3));
  console.log(`\na small Llama: loss ${first} → ${last} in ${steps} steps`);
  console.log(`losses on the reference backend: at most ${apart < 1e-3 ? '0.001' : apart.toFixed(4)} apart`);
  console.log(
    `what it says then: ${same ? 'the same tokens' : `${ours.tokens} instead of ${reference.tokens}`}`,
  );
  return apart < 1e-3 && same;
}

async function compareSpeed(backend: Backend): Promise<void> {
  const cases = [
    'matmul: feed-forward',
    'matmul: weight gradient',
    'add: activations',
    'rmsNorm: activations',
  ];
  const measured = [];
  for (const one of [referenceBackend(), backend]) {
    const { speeds } = await runConformance(one, {
      modes: ['speed'],
      filter: ({ name }) => cases.includes(name),
    });
    measured.push(speeds);
  }
  const columns: Column[] = [
    { title: 'speed case' },
    { title: 'reference, ms', digits: 3 },
    { title: 'wasm, ms', digits: 3 },
  ];
  const [slow, fast] = measured;
  const rows = slow.map(({ case: name, opsPerSecond }, i) => [
    name,
    1000 / opsPerSecond,
    1000 / fast[i].opsPerSecond,
  ]);
  console.log(`\n${renderTable(columns, rows)}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, 'no-serve': { type: 'boolean' } },
  });
  const backend = await openWasmBackend();
  const own = primitiveOps.filter((op) => backend.kernels[op]);
  console.log(`${backend.name}: ${backend.description}`);
  console.log(`kernels for ${own.length} of ${primitiveOps.length} primitives\n`);
  const proved = await prove(backend, values.quick);
  const trained = await compareTraining(backend, values.quick ? 10 : 60);
  if (!values.quick) await compareSpeed(backend);
  console.log(`\nmemory still held: ${formatNumber(backend.usedBytes)} bytes`);
  if (!proved || !trained || backend.usedBytes > 0) process.exitCode = 1;
}

await main();
