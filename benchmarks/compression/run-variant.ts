import { type CompressOptions, compress, parseRecipe, presetRecipe, type Recipe } from '@frugal/compress';
import { distillMethods } from '@frugal/distill';
import { perplexityScore } from '@frugal/eval';
import { savedBytes, saveModel, skeleton } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { AdamW, progressBar, schedules, train } from '@frugal/trainer';
import type { Subject } from './subject.js';
import type { Stages } from './variants.js';

const methods = [...quantMethods, ...pruneMethods, ...distillMethods];

/** What compression made of a model. */
export interface Measured {
  /** Of the weights file; what stays dense in the dtype of the model. */
  readonly bytes: number;
  readonly perplexity: number;
  readonly seconds: number;
  readonly calibrationTokens: number;
}

/** Compresses a copy of the subject and scores it on what is held out; with `out`, saves it there. */
export async function runVariant(subject: Subject, stages: Stages, out?: string): Promise<Measured> {
  const start = performance.now();
  const model = await subject.open();
  const recipe = stages.length === 0 ? null : recipeOf(stages, model);
  const used = recipe?.stages.flatMap(({ modifiers }) => modifiers) ?? [];
  const teacher = used.some(({ type }) => type.startsWith('distill.')) ? await subject.open() : null;
  const small = recipe ? await compressed(subject, model, teacher, recipe) : model;
  const seconds = (performance.now() - start) / 1000;
  const perplexity = await perplexityScore(subject.heldOut).evaluate(small);
  const bytes = savedBytes(small, new Map(), 'frugal');
  if (out) await saveModel(small, out, { layout: 'frugal', force: true });
  teacher?.dispose();
  small.dispose();
  const calibrationTokens = subject.calibration.reduce((sum, { length }) => sum + length, 0);
  return { bytes, perplexity, seconds, calibrationTokens };
}

function recipeOf(stages: Stages, model: CausalLM): Recipe {
  if (typeof stages === 'string') return presetRecipe(stages, model, 1);
  const named = stages.map((modifiers, i) => ({ name: `stage-${i + 1}`, modifiers }));
  return parseRecipe({ version: 1, seed: 1, stages: named });
}

async function compressed(
  subject: Subject,
  model: CausalLM,
  teacher: CausalLM | null,
  recipe: Recipe,
): Promise<CausalLM> {
  const options: CompressOptions = {
    methods,
    calibration: subject.calibration,
    rebuild: skeleton,
    ...(teacher && { teacher }),
    data: subject.batches(),
    train: (job) => distil(job, subject.distillation),
  };
  return (await compress(model, recipe, options)).model;
}

async function distil(
  job: Parameters<NonNullable<CompressOptions['train']>>[0],
  { steps, learningRate: peak }: Subject['distillation'],
): Promise<Readonly<Record<string, unknown>>> {
  const bar = progressBar({ label: 'distil' });
  const warmup = Math.ceil(steps / 10);
  const schedule = schedules.cosine({ peak, steps, warmup, final: peak / 20 });
  const optimizer = new AdamW({ beta2: 0.95 });
  for await (const event of train({ ...job, steps, optimizer, schedule, clipNorm: 1, precision: 'bf16' }))
    bar.update(event);
  bar.close();
  return { steps };
}
