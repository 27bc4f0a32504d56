import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createOptimizer, joinMpiJob, linear, muonWithAdamW, train } from '../src/index.js';
import { TinyModel, TinySource, tinyLoss } from './tiny.js';

/*
 * mpirun -np N node mpi-process.mjs FOLDER STEPS [LOCAL] [die|throw]: a run that goes on where it was stopped; LOCAL > 0: with local
 * updates. The last rank dies, or fails, after step 3 of this run.
 */
const [folder, stepCount, localSteps, end] = process.argv.slice(2);
const job = joinMpiJob();
const { rank, size } = job.collective;
const model = new TinyModel();
const steps = Number(stepCount);
let made = 0;
try {
  const run = train({
    model,
    batches: new TinySource(6),
    loss: tinyLoss(model),
    optimizer: createOptimizer(Number(localSteps) > 0 ? { type: 'adamw' } : muonWithAdamW()),
    schedule: linear({ peak: 0.02, steps: 20, warmup: 2 }),
    steps,
    clipNorm: 1,
    distributed: {
      collective: job.collective,
      ...(Number(localSteps) > 0 && { local: { steps: Number(localSteps) } }),
    },
    checkpoint: { directory: join(folder, 'checkpoints'), every: 2, resume: true },
    log: join(folder, 'log.jsonl'),
    afterStep: () => {
      if (++made < 3 || rank !== size - 1) return;
      if (end === 'die') process.kill(process.pid, 'SIGKILL');
      if (end === 'throw') throw new Error('the disk of this rank is full');
    },
  });
  for await (const event of run)
    if (event.type === 'step') writeSync(1, `rank ${rank}: ${event.step} ${event.loss}\n`);
  job.close();
} catch (error) {
  job.abort((error as Error).message);
}
