import { expectNoLeaks, memoryUsage, Random, tensor } from '@frugal/tensor-core';
import { type BatchSource, nextTokenBatch, type TrainBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { AdamW, linear, NonFiniteLossError, SGD, type StepEvent, train } from '../src/index.js';
import { collect, losses, tinyRun, weightsOf } from './support.js';
import { TinyModel, TinySource, tinyLoss } from './tiny.js';

/** The same batches again and again. */
function always(...batches: TrainBatch[]): BatchSource {
  let next = 0;
  return { next: () => batches[next++ % batches.length], state: () => next, restore: () => {} };
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(actual[i]).toBeCloseTo(expected[i], 5);
}

const sequence = (length: number, first = 0) => Int32Array.from({ length }, (_, i) => (first + 3 * i) % 11);

describe('train', () => {
  it('lowers the loss and reports every step in order', async () => {
    const events = (await collect(train(tinyRun({ steps: 60 })))) as StepEvent[];
    expect(events.map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect(events[0].loss).toBeGreaterThan(2);
    expect(events[59].smoothedLoss).toBeLessThan(1.2);
    for (const { secondsLeft, step } of events.slice(0, 59))
      expect(secondsLeft / (60 - step)).toBeGreaterThan(0);
    const last = events[59];
    expect(last.tokens).toBe(810);
    expect(last.secondsLeft).toBe(0);
    expect(last.tokensPerSecond).toBeGreaterThan(0);
    expect(last.gradientNorm).toBeGreaterThan(0);
  });

  it('weighs micro-batches by tokens: accumulation equals one big batch', async () => {
    const [short, long] = [sequence(3), sequence(9, 4)];
    const run = async (batches: BatchSource, accumulate: number) => {
      const options = tinyRun({ batches, accumulate, optimizer: new SGD({ momentum: 0.9 }), steps: 8 });
      const values = await losses(options);
      return { values, weights: await weightsOf(options.model) };
    };
    const whole = await run(always(nextTokenBatch([short, long])), 1);
    const parts = await run(always(nextTokenBatch([short]), nextTokenBatch([long])), 2);
    expectClose(parts.values, whole.values);
    whole.weights.map((values, i) => expectClose(parts.weights[i], values));
  });

  it('clips the gradient of all parameters together', async () => {
    const step = async (clipNorm: number | undefined) => {
      const options = tinyRun({ steps: 1, optimizer: new SGD(), schedule: () => 1, clipNorm });
      const before = await weightsOf(options.model);
      const [event] = (await collect(train(options))) as StepEvent[];
      const after = await weightsOf(options.model);
      const moved = after.flatMap((values, i) => [...values].map((value, j) => (value - before[i][j]) ** 2));
      return { norm: event.gradientNorm, moved: Math.sqrt(moved.reduce((a, b) => a + b)) };
    };
    const free = await step(undefined);
    expect(free.moved).toBeCloseTo(free.norm, 5);
    const clipped = await step(0.1);
    expect(clipped.norm).toBe(free.norm);
    expect(clipped.moved).toBeCloseTo(0.1, 4);
    expect((await step(100)).moved).toBeCloseTo(free.norm, 5);
  });

  it('follows the schedule', async () => {
    const schedule = linear({ peak: 0.1, steps: 10, warmup: 2 });
    const events = (await collect(train(tinyRun({ steps: 10, schedule })))) as StepEvent[];
    expect(events.map(({ learningRate }) => learningRate)).toEqual(
      Array.from({ length: 10 }, (_, step) => schedule(step)),
    );
  });

  it('evaluates after every so many steps and at the end', async () => {
    const model = new TinyModel();
    const evaluate = { every: 4, run: async (step: number) => ({ step }) };
    const events = await collect(train(tinyRun({ model, steps: 10, evaluate })));
    const seen = events.map((event) =>
      event.type === 'evaluation' ? `evaluation ${event.metrics.step}` : event.step,
    );
    expect(seen).toEqual([1, 2, 3, 4, 'evaluation 4', 5, 6, 7, 8, 'evaluation 8', 9, 10, 'evaluation 10']);
  });

  it('calls afterStep before the next step reads the parameters', async () => {
    const model = new TinyModel();
    const zero = tensor(new Float32Array(11 * 6), { shape: [11, 6] });
    const afterStep = () => void model.head.weight.value.assign(zero);
    const values = await losses(tinyRun({ model, steps: 3, afterStep }));
    expect(values[0]).not.toBeCloseTo(Math.log(11), 3);
    expect(values.slice(1)).toEqual([Math.fround(Math.log(11)), Math.fround(Math.log(11))]);
  });

  it('gives the model its dtype back and trains f32 masters in bf16', async () => {
    const dtypes = new Set<string>();
    const model = new TinyModel();
    const loss = tinyLoss(model);
    const spying = (batch: TrainBatch) => {
      dtypes.add(model.computeDType);
      return loss(batch);
    };
    const values = await losses(tinyRun({ model, loss: spying, precision: 'bf16', steps: 40 }));
    expect([...dtypes]).toEqual(['bf16']);
    expect(model.computeDType).toBe('f32');
    expect(model.parameters().every(({ value }) => value.dtype === 'f32')).toBe(true);
    const exact = await losses(tinyRun({ steps: 40 }));
    expect(values[39]).not.toBe(exact[39]);
    expect(Math.abs(values[39] - exact[39])).toBeLessThan(0.05);
  });
});

describe('numbers that are not finite', () => {
  const poisonedAt = (bad: number, model: TinyModel) => {
    const loss = tinyLoss(model);
    let call = 0;
    return (batch: TrainBatch) => {
      const { sum, ...rest } = loss(batch);
      return { ...rest, sum: ++call === bad ? sum.mul(Number.NaN) : sum };
    };
  };

  it('stop the run and leave the model as it was before the bad step', async () => {
    const model = new TinyModel();
    const healthy = new TinyModel();
    await losses(tinyRun({ model: healthy, steps: 4 }));
    const running = collect(
      train(tinyRun({ model, loss: poisonedAt(5, model), steps: 20, schedule: () => 0.05 })),
    );
    const error = await running.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NonFiniteLossError);
    expect(error).toMatchObject({ step: 5, loss: Number.NaN, learningRate: 0.05, checkpoint: null });
    expect((error as Error).message).toBe(
      '[train] step 5 is not finite: got loss NaN and gradient norm NaN at learning rate 0.05; expected finite numbers. ' +
        'Lower the learning rate or warm up longer. No checkpoint was written.',
    );
    expect(await weightsOf(model)).toEqual(await weightsOf(healthy));
  });

  it('let f16 skip the step and halve the loss scale', async () => {
    const model = new TinyModel();
    const options = tinyRun({ model, loss: poisonedAt(3, model), precision: 'f16', steps: 40 });
    const events = (await collect(train(options))) as StepEvent[];
    expect(events.flatMap(({ step, skipped }) => (skipped ? [step] : []))).toEqual([3]);
    const exact = await losses(tinyRun({ steps: 40 }));
    expect(events[39].smoothedLoss).toBeLessThan(2);
    expect(Math.abs(events[1].loss - exact[1])).toBeLessThan(0.01);
  });

  it('stop f16 as well when no loss scale helps', async () => {
    const model = new TinyModel();
    const loss = tinyLoss(model);
    const nan = (batch: TrainBatch) => {
      const { sum, ...rest } = loss(batch);
      return { ...rest, sum: sum.mul(Number.NaN) };
    };
    await expect(losses(tinyRun({ model, loss: nan, precision: 'f16', steps: 100 }))).rejects.toThrow(
      NonFiniteLossError,
    );
  });
});

describe('memory', () => {
  it('is given back at the end, after an early break and after an error', async () => {
    const model = new TinyModel();
    const optimizer = new AdamW();
    await losses(tinyRun({ model, optimizer, steps: 1 })); // makes the optimizer's state
    await expectNoLeaks(() => losses(tinyRun({ model, optimizer, steps: 5, accumulate: 2, clipNorm: 1 })));
    await expectNoLeaks(async () => {
      for await (const event of train(tinyRun({ model, optimizer, steps: 100 }))) if (event.step === 3) break;
    });
    await expectNoLeaks(async () => {
      const failing = {
        ...tinyRun({ model, optimizer, accumulate: 2 }),
        batches: always(nextTokenBatch([sequence(3)]), null as never),
      };
      await expect(losses(failing)).rejects.toThrow(TypeError);
    });
  });

  it('stays flat over 10,000 steps', async () => {
    const model = new TinyModel({ width: 2 });
    const batches = always(nextTokenBatch([sequence(3)]));
    const sizes = new Set<number>();
    for await (const event of train(tinyRun({ model, batches, optimizer: new SGD(), steps: 10_000 }))) {
      if (event.step % 1000 === 0) sizes.add(memoryUsage().bytes);
    }
    expect(sizes.size).toBe(2); // one step more in flight, or not
  });
});

describe('bad options', () => {
  it.each([
    [{ steps: -1 }, /bad steps: got -1; expected a whole number of at least 0/],
    [{ accumulate: 0 }, /bad accumulate: got 0/],
    [{ clipNorm: 0 }, /bad clipNorm: got 0/],
    [
      { evaluate: { every: 0, run: async () => ({}) } },
      /bad evaluate\.every: got 0; expected a whole number of at least 1/,
    ],
    [{ checkpoint: { directory: 'nowhere', every: 1.5 } }, /bad checkpoint\.every: got 1\.5/],
  ])('%o', async (changes, message) => {
    await expect(losses(tinyRun(changes))).rejects.toThrow(message);
  });

  it('a model with nothing to train, or that the loss does not use', async () => {
    const frozen = new TinyModel();
    for (const parameter of frozen.parameters()) parameter.trainable = false;
    await expect(losses(tinyRun({ model: frozen }))).rejects.toThrow(
      /nothing to train: got 3 parameters, all frozen/,
    );
    const loss = tinyLoss(new TinyModel());
    await expect(losses(tinyRun({ loss }))).rejects.toThrow(
      /the loss gave no trainable parameter a gradient/,
    );
  });

  it('a precision that the model does not know, or parameters that are not f32', async () => {
    const rigid = Object.assign(new TinyModel(), { computeDType: undefined });
    await expect(losses(tinyRun({ model: rigid as never, precision: 'bf16' }))).rejects.toThrow(
      /cannot be told to compute in bf16/,
    );
    const narrow = new TinyModel();
    narrow.norm.weight.value = narrow.norm.weight.value.detach().cast('bf16');
    await expect(losses(tinyRun({ model: narrow }))).rejects.toThrow(
      /\[norm\.weight\] parameters are trained in f32: got bf16/,
    );
  });

  it('a step in which nothing counts', async () => {
    const model = new TinyModel();
    const loss = (batch: TrainBatch) => ({ ...tinyLoss(model)(batch), weight: 0 });
    await expect(losses(tinyRun({ model, loss }))).rejects.toThrow(
      /the items of step 1 weigh nothing: got 0/,
    );
  });
});

it('draws random numbers as the loss asks for them', async () => {
  const run = (seed: number) =>
    losses(
      tinyRun({
        model: new TinyModel({ dropout: 0.3, random: new Random(seed) }),
        batches: new TinySource(),
      }),
    );
  expect(await run(4)).toEqual(await run(4));
  expect(await run(4)).not.toEqual(await run(5));
});
