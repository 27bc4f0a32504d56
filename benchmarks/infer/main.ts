import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { type CpuBackend, cpuBackend, type Isa } from '@frugal/backend-cpu';
import { loadModel } from '@frugal/models';
import { barChart } from '@frugal/report';
import { setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { type CausalLM, isLinearLike } from '@frugal/tensor-core/nn';
import { Peer } from '../shared/peer.js';
import { machine, type Row, summarize } from '../shared/result.js';
import { median, spread } from '../shared/statistics.js';

/**
 * Prefill and decode of one stream beside llama.cpp, in turns:
 *   npm run bench -- infer -- [--model FILE.gguf] [--turns N] [--json FILE]
 * The model: `--model` or FRUGAL_BENCH_MODEL, SmolLM2-135M-Instruct as Q4_1. llama.cpp takes the better of one thread and
 * all. With --json the picture is written beside it.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    turns: { type: 'string', default: '7' },
    json: { type: 'string' },
  },
});
const PROMPT = 512;
const NEW = 128;

interface Seconds {
  readonly prefill: number;
  readonly decode: number;
}

/** One of ours: a model on a backend of its own. */
interface Runner {
  readonly name: string;
  readonly backend: CpuBackend;
  readonly model: CausalLM;
  readonly samples: Seconds[];
}

async function open(path: string, name: string, isa?: Isa): Promise<Runner> {
  const backend = cpuBackend(isa ? { isa } : {});
  setBackend(backend);
  const runner = { name, backend, model: await loadModel(path), samples: [] };
  await turn(runner);
  return runner;
}

async function turn({ model, backend }: Runner): Promise<Seconds> {
  setBackend(backend);
  const prompt = Int32Array.from(
    { length: PROMPT },
    (_, i) => (i * 7919) % Math.min(model.vocabularySize, 32000),
  );
  const start = performance.now();
  let first = 0;
  // llama.cpp keeps its cache in f16 as well.
  for await (const _ of generate(model, prompt, { maxTokens: NEW, cacheDType: 'f16' }))
    first ||= performance.now();
  return { prefill: (first - start) / 1000, decode: (performance.now() - first) / 1000 };
}

const prefillSpeed = ({ prefill }: Seconds) => PROMPT / prefill;
const decodeSpeed = ({ decode }: Seconds) => (NEW - 1) / decode;

/** Bytes of all matrices that a new token reads. */
function weightBytes(model: CausalLM): number {
  let sum = 0;
  for (const [, module] of model.namedModules()) if (isLinearLike(module)) sum += module.weightBytes;
  return sum;
}

function rowsOf(
  { name, samples }: Runner,
  peer: string | null,
  theirs: ReadonlyMap<string, Seconds[]>,
): Row[] {
  return [
    { what: `prefill ${PROMPT}`, speed: prefillSpeed },
    { what: `decode ${NEW} after ${PROMPT}`, speed: decodeSpeed },
  ].map(({ what, speed }) => {
    const sides = [...theirs].map(([threads, list]) => ({ threads, speeds: list.map(speed) }));
    const best = sides.sort((a, b) => median(b.speeds) - median(a.speeds))[0];
    return {
      name: `${what}, ${name}`,
      peer: best ? `${peer}, ${best.threads} threads` : null,
      unit: 'tokens/s',
      ours: samples.map(speed),
      theirs: best?.speeds ?? [],
    };
  });
}

const path = options.model ?? process.env.FRUGAL_BENCH_MODEL;
if (!path) {
  console.error(
    '[infer] no model: name SmolLM2-135M-Instruct as Q4_1 with --model (see benchmarks/README.md)',
  );
  process.exit(2);
}
const runners = [await open(path, 'best instructions')];
const [{ backend, model }] = runners;
if (backend.isa !== 'avx2' && backend.isa !== 'scalar') runners.push(await open(path, 'AVX2 forced', 'avx2'));
const threadCounts = [...new Set(['1', String(backend.threads)])];
const peer = await Peer.startNode(
  'llama_cpp.mjs',
  [path, String(PROMPT), String(NEW), threadCounts.join()],
  'node-llama-cpp',
);
if (typeof peer === 'string') console.error(`llama.cpp is left out: ${peer}`);
const theirs = new Map<string, Seconds[]>(typeof peer === 'string' ? [] : threadCounts.map((n) => [n, []]));
for (let i = 0; i < Number(options.turns); i++) {
  for (const runner of runners) runner.samples.push(await turn(runner));
  if (typeof peer === 'string') continue;
  for (const [threads, list] of theirs) list.push((await peer.run(1, threads)) as unknown as Seconds);
}
const version = typeof peer === 'string' ? null : peer.version;
if (typeof peer !== 'string') peer.quit();

const rows = runners.flatMap((runner) => rowsOf(runner, version, theirs));
const { read } = backend.measurePeaks();
const bandwidth = (weightBytes(model) * median(runners[0].samples.map(decodeSpeed))) / 1e9;
console.log(`machine: ${machine()}, ${backend.description}`);
for (const row of rows) {
  const beside = row.peer
    ? `, ${row.peer} ${spread(row.theirs)}, ratio ${summarize(row).ratio?.toFixed(2)}`
    : '';
  console.log(`${row.name}: ${spread(row.ours)} tokens/s${beside}`);
}
console.log(
  `decode reads ${bandwidth.toFixed(1)} GB/s of weights: ${((100 * bandwidth) / read).toFixed(0)} % of the ${read.toFixed(1)} GB/s that all threads can read`,
);
if (options.json) write(options.json);

function write(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  const data = {
    machine: machine(),
    backend: backend.description,
    peer: version,
    date: new Date().toISOString().slice(0, 10),
    model: path?.split('/').pop(),
    decodeGigabytesPerSecond: bandwidth,
    readGigabytesPerSecond: read,
    rows: rows.map((row) => ({ ...summarize(row), samples: { ours: row.ours, theirs: row.theirs } })),
  };
  writeFileSync(file, `${JSON.stringify(data, null, 2)}\n`);
  const chart = barChart({
    title: 'Tokens per second of one stream',
    subtitle: `${path?.split('/').pop()}, ${machine()}`,
    xLabel: 'tokens per second',
    categories: rows.map(({ name }) => name),
    series: [
      { name: 'Frugal', values: rows.map(({ ours }) => median(ours)) },
      {
        name: version ?? 'no peer',
        values: rows.map((row) => (row.theirs.length ? median(row.theirs) : null)),
      },
    ],
  });
  writeFileSync(file.replace(/(\.json)?$/, '.svg'), chart);
}
