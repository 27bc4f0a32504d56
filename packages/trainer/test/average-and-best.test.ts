import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createModel } from '@frugal/models';
import { expectNoLeaks, noGrad, tensor } from '@frugal/tensor-core';
import { Parameter } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  constant,
  languageModelLoss,
  type TrainEvent,
  type TrainOptions,
  train,
  WeightAverage,
} from '../src/index.js';
import { collect, losses, temporaryFolder, tinyRun, weightsOf } from './support.js';
import { TinyModel, TinySource, vocabularySize } from './tiny.js';

type TinyOptions = TrainOptions & { readonly model: TinyModel };

/** In the order of the model's parameters. */
async function averageOf(average: WeightAverage, model = new TinyModel()): Promise<Float32Array[]> {
  const paths = [...model.namedParameters()].map(([path]) => path);
  return Promise.all(paths.flatMap((path) => average.state().get(path)?.toFloat32() ?? []));
}

/** A run that stops after `pause` steps and goes on with new objects. */
async function interrupted(make: () => TinyOptions, pause: number, directory: string): Promise<TinyOptions> {
  const checkpoint = { directory, every: 1, resume: true };
  for await (const event of train({ ...make(), checkpoint })) {
    if (event.type === 'checkpoint' && event.step === pause) break;
  }
  const rest = make();
  await losses({ ...rest, checkpoint });
  return rest;
}

describe('an average of the weights', () => {
  it('is the exponential moving average, whose first weights count less', async () => {
    const parameter = new Parameter(tensor([0]));
    const average = new WeightAverage({ decay: 0.5 });
    const values = [4, 2, -3, 8, 1, 1, 5, 9];
    let expected = values[0];
    for (const [i, value] of values.entries()) {
      noGrad(() => parameter.value.assign(tensor([value])));
      average.update([{ path: 'w', parameter }], i + 1);
      const decay = Math.min(0.5, (i + 1) / (10 + i));
      if (i > 0) expected = decay * expected + (1 - decay) * value;
      expect(await average.state().get('w')!.item()).toBeCloseTo(expected, 5);
    }
  });

  it('is lent to the model and taken back', async () => {
    const average = new WeightAverage({ decay: 0.9 });
    const options = tinyRun({ steps: 8, average });
    await losses(options);
    const own = await weightsOf(options.model);
    const use = average.use(options.model);
    expect(await weightsOf(options.model)).toEqual(await averageOf(average));
    expect(await weightsOf(options.model)).not.toEqual(own);
    use[Symbol.dispose]();
    expect(await weightsOf(options.model)).toEqual(own);
  });

  it('does not change the training, and is resumed with the same bits', async () => {
    const make = () => tinyRun({ steps: 9, average: new WeightAverage({ decay: 0.8 }) });
    const whole = make();
    expect(await losses(whole)).toEqual(await losses(tinyRun({ steps: 9 })));
    const rest = await interrupted(make, 4, temporaryFolder());
    expect(await averageOf(rest.average!)).toEqual(await averageOf(whole.average!));
    expect(await weightsOf(rest.model)).toEqual(await weightsOf(whole.model));
  });

  it('is what is evaluated, if wanted', async () => {
    const average = new WeightAverage({ decay: 0.9 });
    const model = new TinyModel();
    const seen: Float32Array[][] = [];
    const run = async () => {
      seen.push(await weightsOf(model));
      return { score: 1 };
    };
    await losses(tinyRun({ model, steps: 6, average, evaluate: { every: 6, run, averaged: true } }));
    expect(seen[0]).toEqual(await averageOf(average));
    expect(await weightsOf(model)).not.toEqual(seen[0]);
  });

  it('belongs to its run: resuming with or without it is refused', async () => {
    const checkpoint = { directory: temporaryFolder(), resume: true };
    await losses(tinyRun({ steps: 2, checkpoint }));
    const withAverage = tinyRun({ steps: 4, checkpoint, average: new WeightAverage() });
    await expect(losses(withAverage)).rejects.toThrow(/was started without an average of its weights/);
    expect(() => new WeightAverage({ decay: 1 })).toThrow(
      /bad decay: got 1; expected at least 0 and below 1/,
    );
    const missing = tinyRun({ evaluate: { every: 1, run: async () => ({}), averaged: true } });
    await expect(losses(missing)).rejects.toThrow(/needs an average/);
  });

  it('leaves nothing behind', async () => {
    await expectNoLeaks(async () => {
      const average = new WeightAverage();
      const options = tinyRun({ steps: 3, average });
      await losses(options);
      average.use(options.model)[Symbol.dispose]();
      average.dispose();
      options.optimizer.dispose();
      options.model.dispose();
    });
  });
});

/** A metric that falls until step 6 and then rises. */
const valley = { run: async (step: number) => ({ loss: Math.abs(step - 6) }), every: 2 };

describe('the best evaluation', () => {
  it('ends the run when nothing better comes, and gives its weights to the model', async () => {
    const directory = temporaryFolder();
    const make = () => tinyRun({ steps: 20, evaluate: { ...valley, best: { metric: 'loss', patience: 2 } } });
    const options = make();
    const events = await collect(train({ ...options, checkpoint: { directory, keep: 1 } }));
    expect(events.at(-1)).toEqual({
      type: 'best',
      step: 6,
      value: 0,
      path: join(directory, 'step-00000006'),
      stoppedEarly: true,
    });
    expect(events.filter(({ type }) => type === 'step')).toHaveLength(10);
    expect(readdirSync(directory).sort()).toEqual(['step-00000006', 'step-00000010']);
    const six = tinyRun({ steps: 6 });
    await losses(six);
    expect(await weightsOf(options.model)).toEqual(await weightsOf(six.model));
  });

  it.each([1, 5, 7, 9])('is the same when the run is stopped after step %i and resumed', async (pause) => {
    const make = () => tinyRun({ steps: 20, evaluate: { ...valley, best: { metric: 'loss', patience: 2 } } });
    const whole = make();
    const directory = temporaryFolder();
    const expected = await collect(train({ ...whole, checkpoint: { directory, every: 1 } }));
    const checkpoint = { directory: temporaryFolder(), every: 1, resume: true };
    for await (const event of train({ ...make(), checkpoint }))
      if (event.type === 'checkpoint' && event.step === pause) break;
    const rest = make();
    const events = await collect(train({ ...rest, checkpoint }));
    const last = (all: TrainEvent[]) => ({ ...all.at(-1), path: null });
    expect(last(events)).toEqual(last(expected));
    expect(await weightsOf(rest.model)).toEqual(await weightsOf(whole.model));
    // A run that has ended stays ended.
    const again = make();
    expect((await collect(train({ ...again, checkpoint }))).map(({ type }) => type)).toEqual([
      'resume',
      'best',
    ]);
    expect(await weightsOf(again.model)).toEqual(await weightsOf(whole.model));
  });

  it('counts rises where higher is better, and only changes that are large enough', async () => {
    const bestStep = async (best: object, score: (step: number) => number) => {
      const evaluate = {
        every: 1,
        run: async (step: number) => ({ score: score(step) }),
        best: { metric: 'score', ...best },
      };
      const checkpoint = { directory: temporaryFolder() };
      const last = (await collect(train(tinyRun({ steps: 6, evaluate, checkpoint })))).at(-1);
      return last?.type === 'best' ? [last.step, last.stoppedEarly] : null;
    };
    expect(await bestStep({ higherIsBetter: true }, (step) => step)).toEqual([6, false]);
    expect(await bestStep({ minimumChange: 1.5, patience: 5 }, (step) => -step)).toEqual([5, false]);
    expect(await bestStep({}, (step) => (step === 2 ? Number.NaN : step))).toEqual([1, false]);
    expect(await bestStep({}, () => Number.NaN)).toBeNull();
  });

  it('needs checkpoints and a metric that exists', async () => {
    const evaluate = { ...valley, best: { metric: 'accuracy' } };
    await expect(losses(tinyRun({ evaluate }))).rejects.toThrow(
      /none are written\. Give checkpoint\.directory/,
    );
    const checkpoint = { directory: temporaryFolder() };
    await expect(losses(tinyRun({ evaluate, checkpoint }))).rejects.toThrow(
      /gives no metric accuracy: got loss/,
    );
  });
});

describe('recompute', () => {
  it('gives the same losses, and is off again after the run', async () => {
    const config = {
      ...{
        architectures: ['LlamaForCausalLM'],
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
      },
      ...{ num_attention_heads: 2, vocab_size: vocabularySize, max_position_embeddings: 16 },
    };
    const run = async (recompute: boolean) => {
      const model = createModel(config, { seed: 1 });
      const [batches, optimizer, schedule] = [new TinySource(), new AdamW(), constant({ peak: 0.01 })];
      const loss = languageModelLoss(model);
      const values = await losses({ model, batches, loss, optimizer, schedule, steps: 5, recompute });
      expect(model).toMatchObject({ recompute: false });
      return values;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it('is refused for models that cannot', async () => {
    await expect(losses(tinyRun({ recompute: true }))).rejects.toThrow(/cannot compute its blocks again/);
  });
});
