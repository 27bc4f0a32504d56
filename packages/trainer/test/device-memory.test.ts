import { referenceBackend, setBackend, type Tensor } from '@frugal/tensor-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  createOptimizer,
  DeviceFailureError,
  type OptimizerConfig,
  train,
  WeightAverage,
} from '../src/index.js';
import { SmallDevice } from './small-device.js';
import { collect, temporaryFolder, tinyRun, weightsOf } from './support.js';

const device = new SmallDevice();
beforeEach(() => {
  setBackend(device);
  device.failing = Number.POSITIVE_INFINITY;
});
afterEach(() => setBackend(referenceBackend()));

const STEPS = 4;
const matrices = { name: 'matrices', paths: ['head.*'], kind: 'matrix' } as const;
const configs: readonly OptimizerConfig[] = [
  { type: 'adamw' },
  { type: 'adamw8bit', blockSize: 16, minimumSize: 20 },
  { type: 'sgd', momentum: 0.9, nesterov: true },
  {
    type: 'groups',
    groups: [
      { ...matrices, optimizer: { type: 'muon' } },
      { name: 'rest', optimizer: { type: 'adamw' } },
    ],
  },
];

/** A run in a folder: its weights and averaged weights at the end. `onStep` is told each step. */
async function run(config: OptimizerConfig, directory: string, onStep: (step: number) => void = () => {}) {
  const average = new WeightAverage({ decay: 0.5 });
  const options = tinyRun({
    steps: STEPS,
    optimizer: createOptimizer(config),
    clipNorm: 0.5,
    accumulate: 2,
    average,
    checkpoint: { directory, resume: true },
  });
  try {
    for (const event of await collect(train(watched(options, onStep)))) void event;
    const numbers = await weightsOf(options.model);
    for (const [path] of options.model.namedParameters())
      numbers.push(await (average.state().get(path) as Tensor).toFloat32());
    return numbers;
  } finally {
    options.optimizer.dispose();
    average.dispose();
    options.model.dispose();
  }
}

function watched(options: ReturnType<typeof tinyRun>, onStep: (step: number) => void) {
  const { batches } = options;
  let drawn = 0;
  const next = () => {
    if (drawn++ % 2 === 0) onStep(drawn);
    return batches.next();
  };
  return {
    ...options,
    batches: { next, state: () => batches.state(), restore: (s: unknown) => batches.restore(s) },
  };
}

it.each(configs)('goes on exactly from wherever memory ends in a step of $type', async (config) => {
  const marks: number[] = [];
  const expected = await run(config, temporaryFolder(), () => marks.push(device.requests));
  // Requests of the third step, the end of the second's included.
  const [from, to] = [marks[2] - marks[0], marks[3] - marks[0]];
  const outcomes = { before: 0, finished: 0 };
  const stride = Math.ceil((to - from) / 150);
  for (let at = from + 1; at <= to; at += stride) {
    const directory = temporaryFolder();
    let isFirst = true;
    const failed = run(config, directory, () => {
      if (isFirst) device.failing = device.requests + at;
      isFirst = false;
    });
    const error = await failed.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    device.failing = Number.POSITIVE_INFINITY;
    expect(error, `request ${at} of ${from} to ${to}`).toBeInstanceOf(DeviceFailureError);
    const { isCurrent, isFinished, step, message } = error as DeviceFailureError;
    expect({ isCurrent, step }, `request ${at} of ${from} to ${to}: ${message}`).toEqual({
      isCurrent: true,
      step: 3,
    });
    outcomes[isFinished ? 'finished' : 'before']++;
    expect(message).toMatch(
      isFinished ? /finished .*step-00000003/ : /before it are saved in .*step-00000002/,
    );
    const resumed = await run(config, directory);
    for (const [i, numbers] of expected.entries())
      expect(resumed[i].join(), `request ${at} of ${from} to ${to}: ${message}, tensor ${i}`).toBe(
        numbers.join(),
      );
  }
  expect(outcomes.before).toBeGreaterThan(0);
  expect(outcomes.finished).toBeGreaterThan(0);
});
