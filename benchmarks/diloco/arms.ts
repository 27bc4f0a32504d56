import { perplexity } from '@frugal/eval';
import { batchesOf, type Laboratory, newModel } from '@frugal/example-pretrain-distill-deploy/steps';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  type LocalUpdateOptions,
  languageModelLoss,
  localCollectives,
  muonWithAdamW,
  schedules,
  train,
} from '@frugal/trainer';

/** Steps between two exchanges. */
const STEPS = 50;
/** Steps whose traffic is counted where gradients are exchanged in each: it is the same in all. */
const COUNTED = 4;
const RANKS = 2;

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

const RATES = [1e-2, 2e-2];
/** Outer learning rate and momentum: the mean of the ranks, that of the paper, and what lies between. */
const OUTER = [
  [1, 0],
  [0.7, 0.9],
  [0.7, 0.6],
  [0.9, 0.3],
];

export function arms(): { readonly everyStep: readonly Arm[]; readonly local: readonly Arm[] } {
  return {
    everyStep: RATES.map((learningRate) => ({ name: `every step, ${learningRate}`, learningRate })),
    local: RATES.flatMap((learningRate) =>
      OUTER.map(([outer, momentum]) => ({
        name: `local, ${learningRate}, outer ${outer} and ${momentum}`,
        learningRate,
        local: { steps: STEPS, learningRate: outer, momentum },
      })),
    ),
  };
}

/**
 * Trains and scores. Exchanging gradients in every step is what one process computes alone, up to the order of sums
 * (`packages/trainer/test/distributed.test.ts`): that arm is trained so, which takes half as long, and its traffic is counted apart.
 */
export async function runArm(laboratory: Laboratory, arm: Arm): Promise<Outcome> {
  const [first, ...others] = await trainRanks(laboratory, arm, arm.local ? RANKS : 1);
  for (const { model } of others) model.dispose();
  const bitsPerByte = await score(laboratory, first.model);
  first.model.dispose();
  if (arm.local) return { bitsPerByte, bytesPerStep: first.bytesPerStep };
  const counted = await trainRanks(laboratory, arm, RANKS, COUNTED);
  for (const { model } of counted) model.dispose();
  return { bitsPerByte, bytesPerStep: counted[0].bytesPerStep };
}

interface Ranked {
  readonly model: CausalLM;
  readonly bytesPerStep: number;
}

/** All ranks are parts of this process. `most`: no more than so many steps. */
function trainRanks(
  laboratory: Laboratory,
  { learningRate, local }: Arm,
  ranks: number,
  most = Number.POSITIVE_INFINITY,
): Promise<Ranked[]> {
  const { seed, student, batch, sequence } = laboratory.settings;
  const steps = Math.ceil(student.tokens / (batch * sequence));
  const schedule = schedules.linear({ peak: learningRate, steps, warmup: Math.ceil(0.05 * steps) });
  return Promise.all(
    localCollectives(ranks).map(async (collective) => {
      const model = newModel(laboratory, student, seed);
      const events = train({
        model,
        batches: batchesOf(laboratory, seed),
        loss: languageModelLoss(model),
        optimizer: createOptimizer(muonWithAdamW()),
        schedule,
        steps: Math.min(steps, most),
        clipNorm: 1,
        // Shares by measured speed would make every run another one.
        ...(ranks > 1 && { distributed: { collective, speeds: [1, 1], ...(local && { local }) } }),
      });
      let received = 0;
      for await (const event of events) if (event.type === 'step') received += event.division?.received ?? 0;
      return { model, bytesPerStep: received / Math.min(steps, most) };
    }),
  );
}

async function score({ data, settings }: Laboratory, model: CausalLM): Promise<number> {
  let sum = 0;
  for (const texts of data.heldOut.values())
    sum += (await perplexity(model, data.tokenizer, texts, { context: settings.sequence })).bitsPerByte;
  return sum / data.heldOut.size;
}
