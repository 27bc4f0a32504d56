import type { Manifest } from '@frugal/checkpoint';
import type { ModifierFactory, Recipe } from '@frugal/compress';
import type { BatchSource, CausalLM } from '@frugal/tensor-core/nn';
import { compressTo } from '../compression.js';
import type { Context } from '../context.js';
import { checkContext, type TrainingConfig } from '../training/config.js';
import { finishRun, openRunDirectory, type RunOptions, runDirectoryOf } from '../training/run-directory.js';
import { runTraining, type TrainingRecord } from '../training/run-training.js';
import { type Distributed, isMain } from '../training/team.js';

/** One training of a student, with or without a teacher. */
export interface Arm extends RunOptions {
  readonly out: string;
  readonly label: string;
  readonly student: CausalLM;
  readonly teacher: CausalLM | null;
  readonly batches: BatchSource;
  readonly recipe: Recipe;
  /** Methods that this run alone has. */
  readonly methods?: readonly ModifierFactory[];
  readonly training: TrainingConfig;
  /** Other processes that train with this one. */
  readonly distributed: Distributed | undefined;
  /** What must not change between start and resume. */
  readonly settings: unknown;
  /** A model whose tokenizer the student takes over. */
  readonly filesFrom: string;
  manifest(record: TrainingRecord | undefined): Partial<Manifest>;
}

/** Trains through the recipe runner, with the trainer injected, and saves the student; it is gone afterwards. */
export async function trainArm(arm: Arm, context: Context): Promise<TrainingRecord> {
  const { out, label, student, teacher, batches, recipe, methods, training, distributed, filesFrom } = arm;
  const { force, resume = false } = arm;
  for (const model of [student, ...(teacher ? [teacher] : [])]) checkContext(model, training);
  const options = { ...(force && { force }), resume };
  const run = isMain(distributed) ? await openRunDirectory(out, arm.settings, options) : runDirectoryOf(out);
  let record: TrainingRecord | undefined;
  await compressTo(
    out,
    student,
    recipe,
    {
      ...(teacher && { teacher }),
      ...(methods && { methods }),
      data: batches,
      train: async (job) => {
        record = await runTraining(job, { label, config: training, run, resume, distributed }, context);
        return { ...record };
      },
      filesFrom,
      force,
      rank: distributed?.collective.rank,
      manifest: () => arm.manifest(record),
    },
    context,
  );
  if (isMain(distributed)) await finishRun(run);
  student.dispose();
  return record as TrainingRecord;
}
