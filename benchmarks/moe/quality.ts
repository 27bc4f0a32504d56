import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import { SequenceSampler } from '@frugal/data';
import { countParameters, perplexity } from '@frugal/eval';
import {
  type Prepared,
  prepare,
  RunDirectory,
  settings,
} from '@frugal/example-pretrain-distill-deploy/steps';
import { createModel } from '@frugal/models';
import { noGrad } from '@frugal/tensor-core';
import type { CausalLM, Parameter } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
  WeightAverage,
} from '@frugal/trainer';
import { operationsPerToken } from '../shared/operations.js';
import type { Row } from '../shared/result.js';
import { type MeanInterval, meanInterval } from '../shared/statistics.js';
import type { Subject } from './expert-memory.js';
import { mixtureConfig } from './mixture-config.js';

/**
 * What experts add at the same cost: 4 of 32 experts and one shared against a dense model of the same active parameters,
 * trained on the same batches of real text (speeches and classical Chinese). The rate stays constant, and what is scored are averaged
 * weights, so that each point of a curve is worth what a run of that length would be. Runs are saved and go on where they stopped; what is
 * there is reported, also when some runs are missing.
 */
const SEEDS = [1, 2, 3];
const [EXPERTS, CHOSEN, NEURONS] = [32, 4, 64] as const;
const BATCH = 32;
const LENGTH = 128;
const RATE = 1e-2;
/** Steps between two points of a curve. */
const EVERY = 50;
/** About the last hundred steps. */
const AVERAGE = 0.99;
/** Bytes of held-out text of each language that are scored. */
const SCORED_BYTES = 60_000;

const size = { ...settings.quick, evaluationBytes: SCORED_BYTES, context: LENGTH };
type Arm = 'sparse' | 'dense';

export interface Point {
  readonly tokens: number;
  /** Held-out bits per byte, languages weighted alike. */
  readonly bitsPerByte: number;
}

function configOf(arm: Arm, vocabularySize: number, neurons: number = NEURONS) {
  const common = {
    hidden_size: 128,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    vocab_size: vocabularySize,
    max_position_embeddings: LENGTH,
    tie_word_embeddings: true,
  };
  if (arm === 'dense')
    return { ...common, architectures: ['LlamaForCausalLM'], intermediate_size: (CHOSEN + 1) * NEURONS };
  return {
    ...common,
    ...mixtureConfig({ neurons, experts: EXPERTS, chosen: CHOSEN }),
    router_aux_loss_coef: 0.01,
  };
}

async function score(model: CausalLM, { tokenizer, heldOut }: Prepared): Promise<number> {
  const results: number[] = [];
  for (const texts of heldOut.values())
    results.push((await perplexity(model, tokenizer, texts, { context: LENGTH })).bitsPerByte);
  return results.reduce((sum, value) => sum + value, 0) / results.length;
}

/** Trains one arm up to so many tokens, or as far as it was, and gives its curve. */
async function runArm(
  arm: Arm,
  seed: number,
  tokens: number,
  data: Prepared,
  folder: string,
  keptModel?: CausalLM,
) {
  const name = `${arm}-${seed}`;
  const file = join(folder, `${name}.json`);
  const curve: Point[] = existsSync(file) ? JSON.parse(await readFile(file, 'utf8')) : [];
  const model = keptModel ?? createModel(configOf(arm, data.tokenizer.vocabularySize), { seed });
  const cost = { parameters: countParameters(model), operations: operationsPerToken(model) };
  const steps = EVERY * Math.round(tokens / (EVERY * BATCH * LENGTH));
  if (keptModel || !curve.some((point) => point.tokens >= steps * BATCH * LENGTH)) {
    const bar = progressBar({ label: name });
    const average = new WeightAverage({ decay: AVERAGE });
    const events = train({
      ...{ model, steps, average, precision: 'bf16', clipNorm: 1 },
      batches: new SequenceSampler(data.training.tokens, { length: LENGTH, batch: BATCH, seed }),
      loss: languageModelLoss(model),
      optimizer: createOptimizer(muonWithAdamW({ dtype: 'bf16' })),
      schedule: schedules.constant({ peak: RATE, warmup: 20 }),
      checkpoint: {
        directory: join(folder, `${name}.checkpoints`),
        every: { seconds: 20 },
        keep: 1,
        resume: true,
      },
      evaluate: {
        every: EVERY,
        averaged: true,
        run: async () => ({ bitsPerByte: await score(model, data) }),
      },
    });
    for await (const event of events) {
      bar.update(event);
      if (event.type !== 'evaluation') continue;
      const point = { tokens: event.step * BATCH * LENGTH, bitsPerByte: event.metrics.bitsPerByte };
      const before = curve.findIndex((other) => other.tokens >= point.tokens);
      curve.splice(before < 0 ? curve.length : before, before < 0 ? 0 : Number.POSITIVE_INFINITY, point);
      await saveFile(file, `${JSON.stringify(curve)}\n`);
    }
    bar.close();
    average.dispose();
  }
  if (!keptModel) model.dispose();
  return { arm, seed, cost, curve };
}

/** How many times as many neurons an expert of {@link trainedMixture} has; 0.8 MB each in bf16. */
const WIDENED = 16;

/** The same model with more neurons in each expert, all of whose weights are 0: it chooses and computes the same, but has more to read. */
function widened(model: CausalLM, vocabularySize: number): CausalLM {
  const wide = createModel(configOf('sparse', vocabularySize, WIDENED * NEURONS), { seed: SEEDS[0] });
  const values = new Map(model.namedParameters());
  noGrad(() => {
    for (const [path, parameter] of wide.namedParameters()) {
      const { value } = values.get(path) as Parameter;
      const missing = parameter.shape.map((length, axis) => length - value.shape[axis]);
      parameter.value = value.pad(
        missing.map(() => 0),
        missing,
      );
    }
  });
  return wide;
}

/** The mixture of the first seed after so many tokens, trained now or before, and what it was trained on. */
export async function trainedModel(tokens: number, folder: string) {
  await mkdir(folder, { recursive: true });
  const data = await prepare(size, await RunDirectory.open(size, folder));
  const model = createModel(configOf('sparse', data.tokenizer.vocabularySize), { seed: SEEDS[0] });
  const { curve } = await runArm('sparse', SEEDS[0], tokens, data, folder, model);
  return { model, data, curve };
}

/**
 * The mixture of {@link trainedModel}, its experts as large as those of models that do not fit into
 * memory; and held-out text for it: one language, or both in turns.
 */
export async function trainedMixture(
  tokens: number,
  { count, language }: { count: number; language?: string | undefined },
  folder: string,
): Promise<Subject> {
  const { model, data, curve } = await trainedModel(tokens, folder);
  const texts = [...data.heldOut].flatMap(([label, some]) =>
    language === undefined || language === label ? [data.tokenizer.encode(some.join('\n'))] : [],
  );
  const read = Array.from({ length: Math.ceil(count / LENGTH) }, (_, i) => {
    const start = Math.floor(i / texts.length) * LENGTH;
    return [...texts[i % texts.length].subarray(start, start + LENGTH)];
  });
  const wide = widened(model, data.tokenizer.vocabularySize);
  model.dispose();
  return {
    model: wide,
    tokens: read.flat().slice(0, count),
    notes: { trained: curve, language: language ?? 'both in turns' },
  };
}

/** Tokens at which a falling curve reaches a loss, between its points along a straight line in log tokens; null: it does not. */
export function tokensFor(curve: readonly Point[], bitsPerByte: number): number | null {
  const at = curve.findIndex((point) => point.bitsPerByte <= bitsPerByte);
  if (at < 0) return null;
  if (at === 0) return curve[0].tokens;
  const [a, b] = [curve[at - 1], curve[at]];
  const share = (a.bitsPerByte - bitsPerByte) / (a.bitsPerByte - b.bitsPerByte);
  return a.tokens * (b.tokens / a.tokens) ** share;
}

/** @param tokens of each run @param folder where runs are kept */
export async function qualityRows(
  tokens: number,
  folder: string,
): Promise<{ readonly rows: Row[]; readonly notes: Record<string, unknown> }> {
  await mkdir(folder, { recursive: true });
  const data = await prepare(size, await RunDirectory.open(size, folder));
  const runs: Awaited<ReturnType<typeof runArm>>[] = [];
  const run = async (arm: Arm, seed: number) => {
    const result = await runArm(arm, seed, tokens, data, folder);
    runs.push(result);
    console.error(`${arm}, seed ${seed}: ${result.curve.map(({ bitsPerByte }) => bitsPerByte.toFixed(3))}`);
  };
  for (const seed of SEEDS) {
    await run('sparse', seed);
    await run('dense', seed);
  }
  const [sparse] = runs;
  const at = (arm: Arm, budget: number) =>
    SEEDS.map(
      (seed) =>
        runs
          .find((each) => each.arm === arm && each.seed === seed)
          ?.curve.find((point) => point.tokens === budget)?.bitsPerByte as number,
    );
  const rows: Row[] = sparse.curve.map(({ tokens: budget }) => ({
    name: `held-out bits per byte after ${(budget / 1e6).toFixed(2)} M tokens, ${CHOSEN} of ${EXPERTS} experts and 1 shared`,
    unit: 'bits per byte',
    peer: 'dense of the same active parameters',
    ours: at('sparse', budget),
    theirs: at('dense', budget),
  }));
  const differences: Record<number, MeanInterval> = Object.fromEntries(
    sparse.curve.map(({ tokens: budget }) => {
      const theirs = at('dense', budget);
      return [budget, meanInterval(at('sparse', budget).map((value, i) => value - theirs[i]))];
    }),
  );
  // Of the FLOPs that the dense model took, how many experts need for the same loss, by seed.
  const flopsForSameLoss = SEEDS.map((seed) => {
    const [experts, dense] = ['sparse', 'dense'].map(
      (arm) => runs.find((each) => each.arm === arm && each.seed === seed) as (typeof runs)[number],
    );
    const { tokens: spent, bitsPerByte } = dense.curve.at(-1) as Point;
    const needed = tokensFor(experts.curve, bitsPerByte);
    return needed && (needed * experts.cost.operations) / (spent * dense.cost.operations);
  });
  return {
    rows,
    notes: { trainingTokens: data.training.tokens.length, differences, flopsForSameLoss, runs },
  };
}
