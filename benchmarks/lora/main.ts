import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { attachAdapters } from '@frugal/lora';
import { loadModel } from '@frugal/models';
import { profile, setBackend } from '@frugal/tensor-core';
import type { BatchSource } from '@frugal/tensor-core/nn';
import { AdamW, languageModelLoss, type Precision, schedules, train } from '@frugal/trainer';
import { Peer, serveRuns } from '../shared/peer.js';
import { printProfile } from '../shared/print-profile.js';
import { type Row, report } from '../shared/result.js';
import { type Measured, measureInTurns } from '../shared/turns.js';

/**
 * Tokens per second and peak memory of a LoRA step over a packed base, beside PEFT on PyTorch over the same weights unpacked:
 * rank 16 on all linear layers but the head, AdamW, 4 × 512 tokens a step, in turns, every contender a process of its own:
 *
 *   npm run bench -- lora -- [--model FILE.gguf] [--turns N] [--mode f32|bf16] [--threads N] [--json FILE]
 *   npm run bench -- lora -- --profile [--precision f32|bf16]     where our time goes
 *
 * The model: `--model` or FRUGAL_BENCH_MODEL, SmolLM2-135M-Instruct as Q4_1.
 */
const SEQUENCES = 4;
const TOKENS = 512;
const RANK = 16;
/** Results of products that need not be computed again backward: what fits into 15 % of PEFT's peak memory. */
const KEEP_BYTES = 384 * 2 ** 20;

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    turns: { type: 'string', default: '3' },
    threads: { type: 'string', default: process.env.FRUGAL_THREADS ?? '2' },
    precision: { type: 'string', default: 'f32' },
    profile: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    /** One of PEFT's: f32 or bf16. */
    mode: { type: 'string' },
    json: { type: 'string' },
  },
});
const model =
  options.model ?? process.env.FRUGAL_BENCH_MODEL ?? '.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf';

/** Random tokens: the same work as real ones. */
function randomBatches(vocabularySize: number): BatchSource {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % vocabularySize;
  };
  const draw = (length: number) => Int32Array.from({ length }, next);
  return {
    next: () => ({
      sequences: Array.from({ length: SEQUENCES }, () => draw(TOKENS)),
      targets: draw(SEQUENCES * TOKENS),
    }),
    state: () => state,
    restore: (saved) => {
      state = saved as number;
    },
  };
}

/** Our trainer: each call makes some steps. */
async function trainer(precision: Precision): Promise<(steps: number) => Promise<Record<string, number>>> {
  const base = await loadModel(model);
  attachAdapters(base, { targets: { include: ['blocks.**'] }, rank: RANK });
  const optimizer = new AdamW({ weightDecay: 0 });
  const batches = randomBatches(base.vocabularySize);
  const loss = languageModelLoss(base);
  const schedule = schedules.constant({ peak: 2e-4 });
  return async (steps) => {
    const start = performance.now();
    const recompute = { keepBytes: KEEP_BYTES };
    const run = { model: base, batches, loss, optimizer, schedule, steps, precision, recompute };
    for await (const _ of train(run));
    return {
      tokens: steps * SEQUENCES * TOKENS,
      seconds: (performance.now() - start) / 1000,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  };
}

const PRECISIONS = ['f32', 'bf16'] as const;

/** Both of ours beside one of PEFT's modes: two of its processes at once need more memory than many machines have. */
async function compareWith(mode: string): Promise<Row[]> {
  const { threads } = options;
  const peer = `PEFT ${mode}`;
  const settings = ['--threads', threads, '--model', model];
  const contenders: (readonly [string, Peer | string])[] = [];
  for (const precision of PRECISIONS)
    contenders.push([precision, await Peer.self(['--serve', ...settings, '--precision', precision])]);
  contenders.push([peer, await Peer.start('peft_lora_step.py', [...settings, '--mode', mode], 'peft')]);
  const measured = await measureInTurns(contenders, { turns: Number(options.turns), steps: 1 });
  const other = measured.get(peer);
  return PRECISIONS.flatMap((precision) => {
    const own = measured.get(precision) as Measured;
    const name = `LoRA step ${precision}, ${threads} threads`;
    const megabytes = (one: Measured | undefined) => (one ? [one.peakBytes / 2 ** 20] : []);
    return [
      { name, peer, unit: 'tokens/s', ours: own.speed, theirs: other?.speed ?? [] },
      { name: `${name}, peak memory`, peer, unit: 'MiB', ours: megabytes(own), theirs: megabytes(other) },
    ];
  });
}

const backend = cpuBackend({ threads: Number(options.threads) });
setBackend(backend);
if (options.serve) {
  await serveRuns('frugal', await trainer(options.precision as Precision));
} else if (options.profile) {
  const run = await trainer(options.precision as Precision);
  await run(1);
  const start = performance.now();
  const { ops } = await profile(() => run(1));
  printProfile(ops);
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${((SEQUENCES * TOKENS) / seconds).toFixed(0)} tokens/s, peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
  );
} else {
  const modes = options.mode ? [options.mode] : ['f32', 'bf16'];
  const rows: Row[] = [];
  for (const mode of modes) rows.push(...(await compareWith(mode)));
  report(rows, { backend: backend.description });
}
