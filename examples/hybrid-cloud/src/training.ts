import { join } from 'node:path';
import { openDataset, SequenceSampler } from '@frugal/data';
import { createModel, saveModel } from '@frugal/models';
import { type Collective, setBackend } from '@frugal/tensor-core';
import { loadTokenizer } from '@frugal/tokenizers';
import {
  createOptimizer,
  folderCollective,
  languageModelLoss,
  localCollectives,
  muonWithAdamW,
  schedules,
  train,
} from '@frugal/trainer';
import { openBackend } from './backends.js';
import type { Settings } from './settings.js';

/** What one process does, as JSON on its command line. */
export interface Job {
  readonly settings: Settings;
  /** Folder with tokenizer and tokens, which every place has a copy of. */
  readonly data: string;
  /** Folder of this place: its checkpoints, from the newest of which it goes on, and its model. */
  readonly place: string;
  readonly backend: string;
  /** Where to stop; the learning rate falls until `settings.steps`. */
  readonly steps: number;
  /** Left out: alone. */
  readonly exchange?: {
    readonly folder: string;
    readonly rank: number;
    readonly speeds: readonly number[];
  };
}

export interface Report {
  readonly backend: string;
  /** By step, since this process began; of this rank's share. */
  readonly losses: readonly number[];
  readonly shares: readonly number[];
  /** Bytes that came from others. */
  readonly received: number;
  readonly seconds: number;
}

/** Trains in one place, from its newest checkpoint if there is one, and saves the model there. */
export async function trainHere(job: Job): Promise<Report> {
  const { settings, data, place, steps, exchange } = job;
  const { sequence, batch, seed, localSteps, learningRate } = settings;
  const backend = await openBackend(job.backend);
  setBackend(backend);
  const tokenizer = await loadTokenizer(join(data, 'tokenizer'));
  const { tokens } = await openDataset(join(data, 'data'), { tokenizer });
  const model = createModel({ ...settings.model, vocab_size: tokenizer.vocabularySize }, { seed });
  const report = { losses: [] as number[], shares: [] as readonly number[], received: 0, seconds: 0 };
  const events = train({
    model,
    batches: new SequenceSampler(tokens, { length: sequence, batch, seed }),
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW()),
    schedule: schedules.linear({ peak: learningRate, steps: settings.steps, warmup: 10 }),
    steps,
    clipNorm: 1,
    // Only what every rank knows after an exchange can be saved, so the places are in step.
    checkpoint: { directory: join(place, 'checkpoints'), every: { seconds: 30 }, keep: 1, resume: true },
    distributed: {
      collective: await collectiveOf(exchange),
      ...(exchange && { speeds: exchange.speeds }),
      local: { steps: localSteps, rounds: 'even', bits: 8 },
    },
  });
  const started = performance.now();
  for await (const event of events) {
    if (event.type !== 'step') continue;
    report.losses.push(event.loss);
    report.shares = event.division?.shares ?? [];
    report.received += event.division?.received ?? 0;
  }
  report.seconds = (performance.now() - started) / 1000;
  const manifest = { version: 1, kind: 'pretrain' } as const;
  await saveModel(model, join(place, 'model'), { tokenizerFiles: tokenizer.files(), manifest, force: true });
  return { backend: backend.description, ...report };
}

async function collectiveOf(exchange: Job['exchange']): Promise<Collective> {
  if (!exchange) return localCollectives()[0];
  const { folder, rank, speeds } = exchange;
  return folderCollective({ folder, rank, size: speeds.length });
}
