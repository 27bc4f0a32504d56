import { readFile } from 'node:fs/promises';
import { cpuBackend } from '@frugal/backend-cpu';
import { SequenceSampler } from '@frugal/data';
import {
  measure,
  prepare,
  RunDirectory,
  type Settings,
  settings,
} from '@frugal/example-pretrain-distill-deploy/steps';
import { createModel } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { AdamW, languageModelLoss, type Precision, progressBar, schedules, train } from '@frugal/trainer';
import { batch, llama } from '../shared/llama.js';
import { type Row, report } from '../shared/result.js';

/**
 * Does training in whole numbers cost quality? The Llama of 6.8 M parameters on real text (the corpus of the example),
 * once in bf16 and once with int8 products forward and backward, from the same weights over the same batches: training
 * loss of the last steps and held-out bits per byte (`bench -- train` measures the speed). Runs continue where they
 * stopped, and `--arm int8` does that one alone, so that both can run at once: `npm run bench -- int8-training`;
 * `-- int8-training -- --steps 20` checks that the program works.
 */
const WARM_UP = 100;
/** Steps at the end whose mean is the loss of a run. */
const TAIL = 100;
const PEAK = 1e-3;
const arms: readonly Precision[] = ['bf16', 'int8'];

/** Sequences of 256 tokens per step. */
const SEQUENCES = 4;

const size: Settings = { ...settings.full, sequence: batch.tokens, batch: SEQUENCES };
const steps = Number(option('--steps') ?? 2000);
const only = option('--arm');

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

interface Result {
  readonly loss: number;
  readonly bitsPerByte: Readonly<Record<string, number>>;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function runArm(precision: Precision, run: RunDirectory): Promise<Result> {
  const data = await prepare(size, run);
  const model = createModel(llama, { seed: size.seed });
  const bar = progressBar({ label: precision });
  const name = `${precision}-${steps}`;
  const events = train({
    model,
    batches: new SequenceSampler(data.training.tokens, {
      length: batch.tokens,
      batch: SEQUENCES,
      seed: size.seed,
    }),
    loss: languageModelLoss(model),
    optimizer: new AdamW({ beta2: 0.95, weightDecay: 0.1 }),
    schedule: schedules.cosine({ peak: PEAK, steps, warmup: Math.min(WARM_UP, steps / 4), final: PEAK / 10 }),
    steps,
    clipNorm: 1,
    precision,
    checkpoint: {
      directory: run.file(`${name}.checkpoints`),
      every: { seconds: 60 },
      keep: 1,
      resume: true,
    },
    log: run.file(`${name}.jsonl`),
  });
  const record = { tokens: 0, seconds: 0 };
  for await (const event of events) {
    bar.update(event);
    if (event.type !== 'step') continue;
    Object.assign(record, { tokens: event.tokens, seconds: event.seconds });
  }
  bar.close();
  model.computeDType = 'f32'; // both are judged alike
  const { bitsPerByte } = await measure(
    { settings: size, run, data, signal: new AbortController().signal },
    { model, record },
  );
  model.dispose();
  const lines = (await readFile(run.file(`${name}.jsonl`), 'utf8')).trimEnd().split('\n');
  return {
    loss: mean(lines.slice(-TAIL).map((line) => (JSON.parse(line) as { loss: number }).loss)),
    bitsPerByte,
  };
}

const backend = cpuBackend();
setBackend(backend);
const run = await RunDirectory.open(size);
const results = new Map<Precision, Result>();
for (const precision of arms.filter((arm) => arm === (only ?? arm)))
  results.set(precision, await run.once(`${precision}-${steps}.json`, () => runArm(precision, run)));

function row(name: string, unit: string, value: (result: Result) => number): Row {
  const [theirs, ours] = arms.map((arm) => value(results.get(arm) as Result));
  return { name, peer: 'bf16', unit, ours: [ours], theirs: [theirs] };
}
if (only === undefined) {
  report(
    [
      row(`int8 training loss, last ${TAIL} of ${steps} steps`, 'nats', ({ loss }) => loss),
      row('int8 held-out bits per byte', 'bits', ({ bitsPerByte }) => mean(Object.values(bitsPerByte))),
    ],
    { backend: backend.description, steps, seed: size.seed, results: Object.fromEntries(results) },
  );
}
