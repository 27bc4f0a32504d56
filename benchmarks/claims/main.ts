import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { saveFile } from '@frugal/checkpoint';
import { type FloatDType, setBackend } from '@frugal/tensor-core';
import { machine } from '../shared/result.js';
import { measuredOnce, type Stored } from './cache.js';
import { chartOf } from './chart.js';
import type { Claim } from './claim.js';
import { type TuningKind, tune } from './measurements/adapters.js';
import { serveStreams } from './measurements/cost.js';
import { answerUnderLimits } from './measurements/weak-machine.js';
import type { Part, Setting } from './part.js';
import { adapters } from './parts/adapters.js';
import { algorithms } from './parts/algorithms.js';
import { cost } from './parts/cost.js';
import { eightBit } from './parts/eight-bit.js';
import { experts } from './parts/experts.js';
import { expertsQuality } from './parts/experts-quality.js';
import { weakMachine } from './parts/weak-machine.js';
import { findModel, findRoot } from './setting.js';
import { claimsTable } from './table.js';

/**
 * What the article claims beside what is measured here:
 *   npm run bench -- claims [--only eight-bit,cost,…] [--model FILE.gguf] [--json FILE] [--fresh] [--quick]
 * Every part runs in a process of its own. What was measured with the same sources, settings and machine is kept in
 * .cache/claims and said to be so; --fresh measures it anew. With --json a picture is written beside it. All of it takes about
 * half an hour on two cores; `--only` with `--json` replaces its parts in the file. The models of the main job and SmolLM2's packed forms stay in .cache/claims.
 */
const parts: readonly Part<unknown>[] = [
  eightBit,
  experts,
  expertsQuality,
  algorithms,
  cost,
  weakMachine,
  adapters,
];

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    model: { type: 'string' },
    json: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    // What follows is for the processes that this program starts.
    part: { type: 'string' },
    engine: { type: 'string' },
    dtype: { type: 'string' },
    'new-tokens': { type: 'string' },
    weak: { type: 'string' },
    arm: { type: 'string' },
    rate: { type: 'string' },
  },
});
const root = findRoot();
const setting: Setting = { root, model: findModel(root, options.model), quick: options.quick };

/** Measures one part in a process of its own; what it prints last is the result. */
function measureApart(part: Part<unknown>): unknown {
  const args = [process.argv[1], '--part', part.name];
  if (setting.model !== null) args.push('--model', setting.model);
  if (setting.quick) args.push('--quick');
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`[claims] measuring ${part.name} failed`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) as string);
}

function dependenciesOf(part: Part<unknown>) {
  const own = ['corpus.ts', 'real-model.ts', 'main-job.ts', `measurements/${part.name}.ts`];
  return {
    packages: part.packages,
    sources: own.map((file) => join(root, 'benchmarks/claims', file)),
    models: part.needsModel && setting.model !== null ? [setting.model] : [],
    settings: { quick: setting.quick },
  };
}

export interface PartResult {
  readonly part: string;
  readonly measuredAt: string;
  readonly machine: string;
  readonly cached: boolean;
  readonly loadAverage: Stored<unknown>['loadAverage'];
  readonly claims: readonly Claim[];
  readonly data: unknown;
}

async function resultOf(part: Part<unknown>): Promise<PartResult | null> {
  if (part.needsModel && setting.model === null) {
    console.error(`${part.name} is left out: no SmolLM2-135M-Instruct (node scripts/fetch-test-model.mjs)`);
    return null;
  }
  const stored: Stored<unknown> & { cached: boolean } = await measuredOnce(
    root,
    part.name,
    dependenciesOf(part),
    {
      fresh: options.fresh,
      measure: async () => measureApart(part),
    },
  );
  const { measuredAt, loadAverage, cached, data, machine } = stored;
  if (cached)
    console.error(`${part.name}: measured ${measuredAt.slice(0, 16)} and unchanged since (.cache/claims)`);
  return { part: part.name, measuredAt, machine, loadAverage, cached, data, claims: part.claims(data) };
}

/** Writes the results; parts of the file that were not asked for stay, with what their data say today. */
async function write(file: string, results: readonly PartResult[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const before = existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')).results as PartResult[]) : [];
  const all = parts.flatMap((part) => {
    const found = [...results, ...before].find(({ part: name }) => name === part.name);
    return found ? [{ ...found, claims: part.claims(found.data) }] : [];
  });
  const data = { machine: machine(), backend: cpuBackend().description, quick: setting.quick, results: all };
  await saveFile(file, `${JSON.stringify(data, null, 2)}\n`);
  await saveFile(file.replace(/(\.json)?$/, '.svg'), chartOf(all.flatMap(({ claims }) => claims)));
}

async function main(): Promise<void> {
  const wanted = options.only?.split(',').filter(Boolean) ?? parts.map(({ name }) => name);
  const unknown = wanted.filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    console.error(
      `[claims] no such part: ${unknown.join(', ')}; there are: ${parts.map(({ name }) => name).join(', ')}`,
    );
    process.exitCode = 2;
    return;
  }
  const results: PartResult[] = [];
  for (const part of parts.filter(({ name }) => wanted.includes(name))) {
    const result = await resultOf(part);
    if (result) results.push(result);
  }
  console.log(`machine: ${machine()}, ${cpuBackend().description}\n`);
  console.log(claimsTable(results.flatMap(({ claims }) => claims)));
  if (options.json) await write(options.json, results);
}

if (options.weak) await answerUnderLimits(options.weak);
else {
  setBackend(cpuBackend());
  const part = parts.find(({ name }) => name === options.part);
  if (part) console.log(JSON.stringify(await part.measure(setting)));
  else if (options.engine)
    await serveStreams(options.engine, options.dtype as FloatDType, Number(options['new-tokens']));
  else if (options.arm) await tune(setting, options.arm as TuningKind, Number(options.rate));
  else await main();
}
