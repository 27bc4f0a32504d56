import { type CompressOptions, compress, type ModifierSpec, parseRecipe } from '@frugal/compress';
import { distillMethods } from '@frugal/distill';
import { perplexityScore } from '@frugal/eval';
import { savedBytes, saveModel, skeleton } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { AdamW, progressBar, schedules, train } from '@frugal/trainer';
import type { Subject } from './subject.js';

const methods = [...quantMethods, ...pruneMethods, ...distillMethods];

/** What compression made of a model. */
export interface Measured {
  /** Of the weights file; what stays dense in the dtype of the model. */
  readonly bytes: number;
  readonly perplexity: number;
  readonly seconds: number;
}

/** Compresses a copy of the subject and scores it on what is held out; with `out`, saves it there. */
export async function runVariant(
  subject: Subject,
  stages: readonly (readonly ModifierSpec[])[],
  out?: string,
): Promise<Measured> {
  const start = performance.now();
  const model = await subject.open();
  const teacher = stages.flat().some(({ type }) => type.startsWith('distill.')) ? await subject.open() : null;
  const small = stages.length === 0 ? model : await compressed(subject, model, teacher, stages);
  const seconds = (performance.now() - start) / 1000;
  const perplexity = await perplexityScore(subject.heldOut).evaluate(small);
  const bytes = savedBytes(small, new Map(), 'frugal');
  if (out) await saveModel(small, out, { layout: 'frugal', force: true });
  teacher?.dispose();
  small.dispose();
  return { bytes, perplexity, seconds };
}

async function compressed(
  subject: Subject,
  model: CausalLM,
  teacher: CausalLM | null,
  stages: readonly (readonly ModifierSpec[])[],
): Promise<CausalLM> {
  const recipe = parseRecipe({
    version: 1,
    seed: 1,
    stages: stages.map((modifiers, i) => ({ name: `stage-${i + 1}`, modifiers })),
  });
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
