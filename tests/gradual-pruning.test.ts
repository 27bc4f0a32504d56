import { compress, InvariantError, parseRecipe, readWeight } from '@frugal/compress';
import { nextTokenTraining } from '@frugal/distill';
import { perplexityScore } from '@frugal/eval';
import { createModel } from '@frugal/models';
import { gradualPruning, magnitude } from '@frugal/prune';
import { noGrad, ones } from '@frugal/tensor-core';
import { type CausalLM, type Linear, nextTokenBatch } from '@frugal/tensor-core/nn';
import { cosine, createOptimizer, train } from '@frugal/trainer';
import { beforeEach, expect, it } from 'vitest';
import { useNativeBackend } from './support/native.js';
import { walks } from './support/walks.js';

const isNative = useNativeBackend();
beforeEach((context) => {
  if (!isNative) context.skip('needs the native addon');
});

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 64,
};
const methods = [gradualPruning, magnitude, nextTokenTraining];
const blocks = { include: ['blocks.**'] };

function batches() {
  let step = 0;
  return {
    next: () => nextTokenBatch(walks(16, 100 + step++)),
    state: () => ({ step }),
    restore: (state: { step: number }) => {
      step = state.step;
    },
  };
}

type Train = NonNullable<Parameters<typeof compress>[2]['train']>;
const trainer =
  (peak: number): Train =>
  async (job) => {
    const steps = Number(job.stage.settings.steps);
    const optimizer = createOptimizer({ type: 'adamw' });
    const schedule = cosine({ peak, steps, warmup: 1 });
    for await (const _ of train({ ...job, steps, optimizer, schedule })) void _;
    return { steps };
  };

const recipeOf = (...stages: { modifier: object; steps?: number }[]) =>
  parseRecipe({
    version: 1,
    seed: 0,
    stages: stages.map(({ modifier, steps }, i) => ({
      name: `stage-${i}`,
      modifiers: [{ targets: blocks, ...modifier }],
      ...(steps && { training: { steps } }),
    })),
  });
const plainTraining = { modifier: { type: 'train.next-token' }, steps: 150 };
const score = perplexityScore(walks(32, 7));

async function trained(): Promise<CausalLM> {
  const model = createModel(config, { seed: 1 });
  const options = { methods, data: () => batches(), train: trainer(0.01) };
  return (await compress(model, recipeOf(plainTraining), options)).model;
}

async function zeros(model: CausalLM): Promise<number> {
  const weight = await readWeight(model.module('blocks.0.mlp.up') as Linear, 'blocks.0.mlp.up');
  return weight.filter((value) => value === 0).length / weight.length;
}

it('lets zeros grow while it trains, better than cutting at once, and holds them later', async () => {
  const [gradual, atOnce] = [await trained(), await trained()];
  const options = { methods, data: () => batches(), train: trainer(0.003) };
  const type = 'prune.gradual';
  const growing = { modifier: { type, sparsity: 0.75, steps: 60, every: 5 }, steps: 90 };
  await compress(gradual, recipeOf(growing, { ...plainTraining, steps: 10 }), options);
  await compress(atOnce, recipeOf({ modifier: { type: 'prune.magnitude', sparsity: 0.75 } }), options);
  expect(await zeros(gradual)).toBeCloseTo(0.75, 5);
  expect(await zeros(atOnce)).toBeCloseTo(0.75, 5);
  expect(await score.evaluate(gradual)).toBeLessThan(0.8 * (await score.evaluate(atOnce)));
});

it('cuts the rest when the training ends before the schedule', async () => {
  const model = createModel(config, { seed: 1 });
  const growing = { modifier: { type: 'prune.gradual', sparsity: 0.5, steps: 100 }, steps: 3 };
  await compress(model, recipeOf(growing), { methods, data: () => batches(), train: trainer(0.003) });
  expect(await zeros(model)).toBeCloseTo(0.5, 5);
});

it('refuses nonsense, a missing trainer, and a later stage that brings weights back', async () => {
  const model = () => createModel(config, { seed: 1 });
  const options = { methods, data: () => batches(), train: trainer(0.003) };
  const gradual = (own: object) => ({ modifier: { type: 'prune.gradual', steps: 2, ...own }, steps: 2 });
  await expect(async () => compress(model(), recipeOf(gradual({ sparsity: 1 })), options)).rejects.toThrow(
    /bad options/,
  );
  await expect(compress(model(), recipeOf(gradual({ sparsity: 0.5, start: 0.6 })), options)).rejects.toThrow(
    /start 0.6 is no less than sparsity 0.5/,
  );
  await expect(compress(model(), recipeOf(gradual({ sparsity: 0.5 })), { methods })).rejects.toThrow(
    /needs a trainer; .*needs training data/,
  );
  const breaker = {
    type: 'test.fill',
    create: (spec: never) => ({
      spec,
      sites: ['linear' as const],
      needs: {},
      plan: () => ({ sites: [], problems: [] }),
      apply: async (site: { path: string; layer?: { outFeatures: number; inFeatures: number } }) => ({
        edits: [
          {
            path: site.path,
            values: {
              weight: noGrad(() =>
                ones([site.layer?.outFeatures as number, site.layer?.inFeatures as number]),
              ),
            },
          },
        ],
      }),
    }),
  };
  const recipe = recipeOf(gradual({ sparsity: 0.5 }), { modifier: { type: 'test.fill' } });
  await expect(
    compress(model(), recipe, { ...options, methods: [...methods, breaker as never] }),
  ).rejects.toThrow(InvariantError);
});
