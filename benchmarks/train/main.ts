import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { createModel } from '@frugal/models';
import { profile, setBackend } from '@frugal/tensor-core';
import type { BatchSource } from '@frugal/tensor-core/nn';
import { AdamW, languageModelLoss, type Precision, schedules, train } from '@frugal/trainer';
import { batch, llama } from '../shared/llama.js';
import { Peer, serveRuns } from '../shared/peer.js';
import { printProfile } from '../shared/print-profile.js';
import { machine, type Row, report } from '../shared/result.js';
import { type Measured, measureInTurns } from '../shared/turns.js';
import { chartOf } from './chart.js';

/**
 * Tokens per second and peak memory of the training step of a Llama of 6.8 M parameters (AdamW, clipping), beside
 * PyTorch, in turns, every contender a process of its own:
 *
 *   npm run bench -- train [-- --turns N --threads N --json FILE --svg FILE]
 *   npm run bench -- train -- --profile [--precision f32|bf16|int8]     where our time goes
 */
const STEPS_PER_TURN = 3;
const { values: options } = parseArgs({
  options: {
    turns: { type: 'string', default: '7' },
    threads: { type: 'string', default: process.env.FRUGAL_THREADS ?? '2' },
    precision: { type: 'string', default: 'f32' },
    profile: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
});

/** Which of our precisions is measured against which of PyTorch's modes. */
const comparisons: readonly { readonly ours: Precision; readonly theirs: readonly string[] }[] = [
  { ours: 'f32', theirs: ['f32'] },
  { ours: 'bf16', theirs: ['bf16', 'compile-bf16'] },
  { ours: 'int8', theirs: ['compile-bf16'] },
];
const namesOfModes: Readonly<Record<string, string>> = {
  f32: 'PyTorch eager f32',
  bf16: 'PyTorch eager bf16',
  'compile-bf16': 'PyTorch compiled bf16',
};

/** Random tokens: the same work as real ones. */
function randomBatches(): BatchSource {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % llama.vocab_size;
  };
  return {
    next: () => ({
      sequences: Array.from({ length: batch.sequences }, () =>
        Int32Array.from({ length: batch.tokens }, next),
      ),
      targets: Int32Array.from({ length: batch.sequences * batch.tokens }, next),
    }),
    state: () => state,
    restore: (saved) => {
      state = saved as number;
    },
  };
}

/** Our trainer: each call makes some steps. */
function trainer(precision: Precision): (steps: number) => Promise<Record<string, number>> {
  const model = createModel(llama, { seed: 1 });
  const optimizer = new AdamW({ beta2: 0.95, weightDecay: 0.1 });
  const batches = randomBatches();
  const loss = languageModelLoss(model);
  const schedule = schedules.constant({ peak: 1e-3 });
  return async (steps) => {
    const start = performance.now();
    for await (const _ of train({
      model,
      batches,
      loss,
      optimizer,
      schedule,
      steps,
      clipNorm: 1,
      precision,
    }));
    return {
      tokens: steps * batch.sequences * batch.tokens,
      seconds: (performance.now() - start) / 1000,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  };
}

/** All contenders in turns. Those that cannot run are left out, with a line that says why. */
async function measureAll(turns: number): Promise<Map<string, Measured>> {
  const { threads } = options;
  const contenders: (readonly [string, Peer | string])[] = [];
  for (const { ours } of comparisons)
    contenders.push([
      `frugal ${ours}`,
      await Peer.self(['--serve', '--precision', ours, '--threads', threads]),
    ]);
  for (const [mode, name] of Object.entries(namesOfModes))
    contenders.push([name, await Peer.start('torch_train_step.py', ['--mode', mode, '--threads', threads])]);
  return measureInTurns(contenders, { turns, steps: STEPS_PER_TURN });
}

function rowsOf(measured: ReadonlyMap<string, Measured>): Row[] {
  return comparisons.flatMap(({ ours, theirs }) =>
    theirs.flatMap((mode) => {
      const [own, other] = [measured.get(`frugal ${ours}`), measured.get(namesOfModes[mode])];
      if (!own) return [];
      const what = `training step 6.8 M ${ours}, ${options.threads} threads`;
      const peer = namesOfModes[mode];
      const megabytes = (one: Measured) => [one.peakBytes / 2 ** 20];
      return [
        { name: what, peer, unit: 'tokens/s', ours: own.speed, theirs: other?.speed ?? [] },
        {
          name: `${what}, peak memory of the process`,
          peer,
          unit: 'MiB',
          ours: megabytes(own),
          theirs: other ? megabytes(other) : [],
        },
      ];
    }),
  );
}

const backend = cpuBackend({ threads: Number(options.threads) });
setBackend(backend);
if (options.serve) {
  await serveRuns('frugal', trainer(options.precision as Precision));
} else if (options.profile) {
  const run = trainer(options.precision as Precision);
  await run(STEPS_PER_TURN);
  const start = performance.now();
  const { ops } = await profile(() => run(STEPS_PER_TURN));
  printProfile(ops);
  console.log(`all ${(performance.now() - start).toFixed(0)} ms for ${STEPS_PER_TURN} steps`);
} else {
  const measured = await measureAll(Number(options.turns));
  report(rowsOf(measured), { backend: backend.description });
  const svg = options.svg ?? options.json?.replace(/(\.json)?$/, '.svg');
  if (svg) {
    mkdirSync(dirname(svg), { recursive: true });
    writeFileSync(svg, chartOf(measured, `6.8 M Llama, ${options.threads} threads, ${machine()}`));
  }
}
