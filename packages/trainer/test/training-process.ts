import { writeSync } from 'node:fs';
import { Random } from '@frugal/tensor-core';
import { createOptimizer, linear, train, WeightAverage } from '../src/index.js';
import { dyingRun } from './dying-run.js';
import { TinyModel, TinySource, tinyLoss } from './tiny.js';

/*
 * node training-process.mjs FOLDER [STEP]: a run of 61 steps with dropout, momentum, 8-bit states, an average and accumulation that goes on where
 * it was stopped. Prints each event; kills itself in the middle of the save after STEP.
 */
const [folder, dieInSaveAt] = process.argv.slice(2);
const random = new Random(7);
const model = new TinyModel({ dropout: 0.2, random });

const run = train({
  model,
  batches: new TinySource(),
  loss: tinyLoss(model),
  optimizer: createOptimizer({
    type: 'groups',
    groups: [
      { name: 'head', paths: ['head.*'], optimizer: { type: 'muon' } },
      { name: 'rest', optimizer: { type: 'adamw8bit', minimumSize: 50 }, learningRate: 2 },
    ],
  }),
  schedule: linear({ peak: 0.02, steps: 61, warmup: 4 }),
  steps: 61,
  accumulate: 2,
  clipNorm: 1,
  random,
  average: new WeightAverage({ decay: 0.9 }),
  evaluate: {
    every: 7,
    // Best at step 28, which is therefore kept to the end.
    run: async (at) => ({ distance: Math.abs(at - 28) }),
    averaged: true,
    best: { metric: 'distance', patience: 100 },
  },
  ...dyingRun(folder, dieInSaveAt),
});

for await (const event of run) writeSync(1, `${event.type} ${event.step}\n`);
