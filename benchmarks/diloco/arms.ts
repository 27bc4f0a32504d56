import { existsSync } from 'node:fs';
import { perplexity } from '@frugal/eval';
import { batchesOf, type Laboratory, newModel } from '@frugal/example-pretrain-distill-deploy/steps';
import { loadModel, saveModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  type LocalUpdateOptions,
  languageModelLoss,
  localCollectives,
  muonWithAdamW,
  schedules,
  type TrainOptions,
  train,
} from '@frugal/trainer';

/** Steps whose traffic is counted where gradients are exchanged in each: it is the same in all. */
const COUNTED = 4;
const RANKS = 2;
/** Of the training that all arms start from. */
const START = { seed: 100, learningRate: 0.01 };

/** One way to train by several ranks. */
export interface Arm {
  readonly name: string;
  readonly learningRate: number;
  /** Left out: gradients in every step. */
  readonly local?: LocalUpdateOptions;
}

export interface Outcome {
  /** Held-out text of all languages, weighted alike. */
  readonly bitsPerByte: number;
  /** Received by the first rank. */
  readonly bytesPerStep: number;
}

/**
 * The model that all arms go on from, trained by one process: DiLoCo as well begins with a model that was trained in one place
 * (arXiv:2311.08105, section 3.1).
 */
export async function startModel(laboratory: Laboratory): Promise<string> {
  const path = laboratory.run.file('start');
  if (existsSync(path)) return path;
  const model = newModel(laboratory, laboratory.settings.student, START.seed);
  await trainRank(
    model,
    { ...laboratory, settings: { ...laboratory.settings, seed: START.seed } },
    START.learningRate,
    {},
  );
  await saveModel(model, path, { tokenizerFiles: laboratory.data.tokenizer.files() });
  model.dispose();
  return path;
}

/**
 * Trains the model in `start` further, or one from random weights where there is none, and scores it. Exchanging gradients in every step is what one process computes alone, up to the order of sums
 * (`packages/trainer/test/distributed.test.ts`): that arm is trained so, which takes half as long, and its traffic is counted apart.
 */
export async function runArm(start: string | null, laboratory: Laboratory, arm: Arm): Promise<Outcome> {
  const [first, ...others] = await trainRanks(start, laboratory, arm, arm.local ? RANKS : 1);
  for (const { model } of others) model.dispose();
  const bitsPerByte = await score(laboratory, first.model);
  first.model.dispose();
  if (arm.local) return { bitsPerByte, bytesPerStep: first.bytesPerStep };
  const counted = await trainRanks(start, laboratory, arm, RANKS, COUNTED);
  for (const { model } of counted) model.dispose();
  return { bitsPerByte, bytesPerStep: counted[0].bytesPerStep };
}

interface Ranked {
  readonly model: CausalLM;
  readonly bytesPerStep: number;
}

/** All ranks are parts of this process. `most`: no more than so many steps. */
function trainRanks(
  start: string | null,
  laboratory: Laboratory,
  { learningRate, local }: Arm,
  ranks: number,
  most?: number,
): Promise<Ranked[]> {
  return Promise.all(
    localCollectives(ranks).map(async (collective) => {
      const { student, seed } = laboratory.settings;
      const model = start ? await loadModel(start) : newModel(laboratory, student, seed);
      // Shares by measured speed would make every run another one.
      const distributed = ranks > 1 && {
        distributed: { collective, speeds: [1, 1], ...(local && { local }) },
      };
      const bytesPerStep = await trainRank(model, laboratory, learningRate, {
        ...distributed,
        ...(most && { steps: most }),
      });
      return { model, bytesPerStep };
    }),
  );
}

/** One rank's part of a training; gives the bytes that it received in a step. */
async function trainRank(
  model: CausalLM,
  laboratory: Laboratory,
  learningRate: number,
  changes: Partial<Pick<TrainOptions, 'distributed' | 'steps'>>,
): Promise<number> {
  const { seed, student, batch, sequence } = laboratory.settings;
  const steps = Math.ceil(student.tokens / (batch * sequence));
  const events = train({
    model,
    batches: batchesOf(laboratory, seed),
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW()),
    schedule: schedules.linear({ peak: learningRate, steps, warmup: Math.ceil(0.05 * steps) }),
    steps,
    clipNorm: 1,
    ...changes,
  });
  let received = 0;
  for await (const event of events) if (event.type === 'step') received += event.division?.received ?? 0;
  return received / (changes.steps ?? steps);
}

async function score({ data, settings }: Laboratory, model: CausalLM): Promise<number> {
  let sum = 0;
  for (const texts of data.heldOut.values())
    sum += (await perplexity(model, data.tokenizer, texts, { context: settings.sequence })).bitsPerByte;
  return sum / data.heldOut.size;
}

/** Held-out bits per byte of a saved model. */
export async function scoreFile(path: string, laboratory: Laboratory): Promise<number> {
  const model = await loadModel(path);
  const bitsPerByte = await score(laboratory, model);
  model.dispose();
  return bitsPerByte;
}
