import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cpuBackend } from '@frugal/backend-cpu';
import { saveFile } from '@frugal/checkpoint';
import { renderTable } from '@frugal/report';
import { setBackend } from '@frugal/tensor-core';
import { machine } from '../shared/result.js';
import { type EqualQuality, equalQuality, REFERENCE } from './equal-quality.js';
import { type GptqCost, measureGptq } from './gptq-cost.js';
import { CACHE } from './own-model.js';
import { ResultStore } from './result-store.js';
import { type Measured, runVariant } from './run-variant.js';
import { measureSearches, type SearchOutcome } from './searches.js';
import { measureSpeeds, type Speeds } from './speeds.js';
import { own, type Subject, smolLM2 } from './subject.js';
import { type Variant, variants } from './variants.js';

/**
 * What compression costs and saves on two dense models, SmolLM2-135M-Instruct and an own Llama of width 256 that is pretrained
 * here first (about half an hour), on text that calibration never saw. What is measured stays in a cache, so a
 * run goes on where it stopped, and several may run beside each other:
 *   npm run bench -- compression                   both models, all of it
 *   npm run bench -- compression -- --model own --part quality|equal|speed|search|gptq|report   `report`: only what is in the cache
 *                                                 `gptq`: its time and memory, only when asked for
 *   npm run bench -- compression -- --part quality --only '^2:4'   variants whose name the pattern finds
 *   npm run bench -- compression -- --json FILE    also writes what is in the cache; other models in the file stay
 *   npm run bench -- compression -- --sequences 8  SmolLM2 calibrated with fewer than 32 sequences of 512 tokens
 *   npm run bench -- compression -- --tokens 1e6   pretrains the own model on fewer tokens
 */
const parts = ['quality', 'equal', 'speed', 'gptq', 'search', 'report'] as const;
const wanted = option('--model');
const part = option('--part');
const only = new RegExp(option('--only') ?? '');

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

interface Results {
  readonly quality: Record<string, Measured>;
  readonly equal?: readonly EqualQuality[];
  readonly speed?: Speeds;
  readonly gptq?: GptqCost;
  readonly search?: readonly SearchOutcome[];
}

async function run(subject: Subject): Promise<Results> {
  const store = new ResultStore(join(CACHE, subject.name));
  const isAsked = (name: (typeof parts)[number]) => part === name || (!part && name !== 'gptq');
  const all = variants();
  if (isAsked('quality')) {
    for (const { name, stages, speed } of all.filter((each) => only.test(each.name))) {
      await store.find('quality', name, async () => {
        const measured = await runVariant(subject, stages, speed && store.model(name));
        console.error(`${subject.name}, ${name}: ${JSON.stringify(measured)}`);
        return measured;
      });
    }
  }
  const { dense, [REFERENCE]: reference } = await store.all<Measured>('quality');
  if ((isAsked('equal') || isAsked('search')) && !(dense && reference))
    throw new Error(`${subject.name}: measure "dense" and "${REFERENCE}" first, with --part quality`);
  if (isAsked('equal')) await equalQuality(subject, store, reference);
  if (isAsked('speed')) {
    const saved = all.filter(({ name, speed }) => speed && existsSync(store.model(name)));
    const models = new Map(saved.map(({ name }) => [name, store.model(name)] as const));
    await store.keep('speed', 'speed', await measureSpeeds(models, store.model('dense')));
  }
  if (isAsked('search')) await measureSearches(subject, store, { dense, reference });
  if (isAsked('gptq')) await store.keep('gptq', 'gptq', await measureGptq(subject, store));
  const results = await resultsOf(store, all);
  print(subject, all, results);
  return results;
}

/** All that is known of a model, also by other runs. */
async function resultsOf(store: ResultStore, all: readonly Variant[]): Promise<Results> {
  const measured = await store.all<Measured>('quality');
  const quality = Object.fromEntries(
    all.flatMap(({ name }) => (measured[name] ? [[name, measured[name]]] : [])),
  );
  const [equal, search] = [await store.all<EqualQuality>('equal'), await store.all<SearchOutcome>('search')];
  const { speed } = await store.all<Speeds>('speed');
  const { gptq } = await store.all<GptqCost>('gptq');
  return {
    quality,
    ...(Object.keys(equal).length > 0 && { equal: Object.values(equal) }),
    ...(speed && { speed }),
    ...(gptq && { gptq }),
    ...(Object.keys(search).length > 0 && { search: Object.values(search) }),
  };
}

function print(
  { title }: Subject,
  all: readonly Variant[],
  { quality, equal = [], speed, gptq, search = [] }: Results,
): void {
  const dense = quality.dense;
  const rows = all.flatMap(({ name }) => {
    const own = quality[name];
    if (!own || !dense) return [];
    const change = 100 * (own.perplexity / dense.perplexity - 1);
    return [[name, own.bytes, own.perplexity, change, speed?.ratios[name]?.median ?? null] as const];
  });
  const columns = [
    { title: title },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'perplexity', decimals: 3 },
    { title: 'change (%)', decimals: 2 },
    { title: 'decode, times bf16', decimals: 2 },
  ];
  console.log(`${renderTable(columns, rows)}\n`);
  if (gptq) {
    const { calibrationTokens, seconds, processorSeconds, peakBytes, denseBytes } = gptq;
    const times = (peakBytes / denseBytes).toFixed(3);
    console.log(
      `int4 by GPTQ, ${calibrationTokens} tokens: ${seconds.toFixed(1)} s (${processorSeconds.toFixed(1)} s of processor time), ` +
        `memory ${Math.round(peakBytes / 1e6)} MB, ${times} times the dense weights\n`,
    );
  }
  for (const { target, limit, reached, found, uniform } of search) {
    const of = (100 * reached) / limit;
    console.log(
      `search for ${target}: ${of.toFixed(1)} % of the limit; ${found.bytes} bytes, perplexity ${found.perplexity.toFixed(3)}, ` +
        `${uniform.name} for all layers ${uniform.bytes} bytes, ${uniform.perplexity.toFixed(3)}`,
    );
  }
  if (equal.length === 0) return;
  const equalColumns = [
    { title: 'as good as int4 GPTQ' },
    { title: 'setting' },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'perplexity', decimals: 3 },
    { title: 'times the bytes of int4', decimals: 2 },
    { title: 'times the speed of int4', decimals: 2 },
  ];
  const equalRows = equal.map(({ method, setting, bytes, perplexity, bytesRatio, speedRatio }) => [
    method,
    setting,
    bytes,
    perplexity,
    bytesRatio,
    speedRatio,
  ]);
  console.log(`${renderTable(equalColumns, equalRows)}\n`);
}

setBackend(cpuBackend());
const tokens = option('--tokens');
const sequences = option('--sequences');
const subjects = {
  smollm2: () => smolLM2(sequences ? Number(sequences) : undefined),
  own: () => own(tokens ? Number(tokens) : undefined),
} as const;
const names = (Object.keys(subjects) as (keyof typeof subjects)[]).filter(
  (name) => name === (wanted ?? name),
);
if (names.length === 0 || (part && !parts.includes(part as (typeof parts)[number]))) {
  console.error(`--model: ${Object.keys(subjects).join(' or ')}; --part: ${parts.join(', ')}`);
  process.exit(2);
}
const json = option('--json');
const found: Record<string, unknown> = {};
for (const name of names) {
  const subject = await subjects[name]();
  const { title, notes } = subject;
  const date = new Date().toISOString().slice(0, 10);
  found[name] = { title, machine: machine(), date, notes, ...(await run(subject)) };
}
if (json) {
  await mkdir(dirname(json), { recursive: true });
  const before = existsSync(json) ? (JSON.parse(await readFile(json, 'utf8')) as { models: object }) : null;
  await saveFile(json, `${JSON.stringify({ models: { ...before?.models, ...found } }, null, 1)}\n`);
}
