import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createModifier, type Recipe, type TrainingStage } from '@frugal/compress';
import { openDataset } from '@frugal/data';
import { skeleton } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { withCheckpoint } from '../checkpoint.js';
import { type Inputs, methods, unfinishedFolder } from '../compression.js';
import type { Context } from '../context.js';
import { requireSameTokenizer } from '../distillation/student-source.js';
import { UsageError } from '../errors.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { checkContext, type TrainingConfig, type TrainingOverrides } from './config.js';
import { type TrainingFlags, trainingOf } from './options.js';
import { batchesOf, runTraining } from './run-training.js';

/** What the command line says about stages of a recipe that train. */
export interface RecipeTrainingFlags extends TrainingFlags {
  /** Made by `frugal data pack`. */
  readonly data?: string;
  /** Who teaches; default: the model as it was. */
  readonly teacher?: string;
}

interface RecipeRun {
  /** Of the model that is compressed. */
  readonly path: string;
  readonly out: string;
  readonly resume: boolean;
  /** Nothing is trained: models need no weights. */
  readonly dryRun: boolean;
}

/** Whether stages train, and whether they want a teacher. */
function needsOf({ stages }: Recipe): { readonly training: boolean; readonly teacher: boolean } {
  const needs = stages.flatMap(({ modifiers }) =>
    modifiers.map((spec) => createModifier(spec, methods).needs),
  );
  return { training: needs.some(({ training }) => training), teacher: needs.some(({ teacher }) => teacher) };
}

/**
 * Data, trainer and teacher for the stages of a recipe that train; nothing where none does. Settings come from the flags,
 * then from `training` of the stage. @throws UsageError for flags of a training that does not take place
 */
export async function recipeTraining(
  recipe: Recipe,
  flags: RecipeTrainingFlags,
  { path, out, resume, dryRun }: RecipeRun,
  context: Context,
): Promise<Pick<Inputs, 'data' | 'train' | 'teacher' | 'trainingKey'>> {
  const { data, teacher, ...training } = flags;
  const needs = needsOf(recipe);
  if (!needs.training) {
    const idle = Object.entries({ data, teacher, steps: flags.steps }).find(
      ([, value]) => value !== undefined,
    );
    if (!idle) return {};
    throw new UsageError({
      where: `--${idle[0]}`,
      what: 'no stage of the recipe trains',
      got: String(idle[1]),
    });
  }
  if (data === undefined) return {}; // the plan says what is missing
  const tokenizer = await openTokenizer(path);
  const dataset = await openDataset(data, { tokenizer });
  const configOf = ({ settings }: Pick<TrainingStage, 'settings'>): TrainingConfig =>
    trainingOf(training, settings as TrainingOverrides);
  const configs = recipe.stages.flatMap((stage, i) =>
    needsOf({ ...recipe, stages: [stage] }).training
      ? [[i, configOf({ settings: stage.training ?? {} })]]
      : [],
  );
  return {
    data: (stage) => batchesOf(dataset, configOf(stage)),
    train: async (job) => {
      const config = configOf(job.stage);
      checkContext(job.model, config);
      const { name, index } = job.stage;
      const log = `${out}.training`;
      await mkdir(log, { recursive: true });
      const run = {
        checkpoints: join(unfinishedFolder(out), `stage-${index}.checkpoints`),
        log: join(log, `stage-${index}.jsonl`),
        page: join(log, `stage-${index}.html`),
      };
      return { ...(await runTraining(job, { label: name, config, run, resume }, context)) };
    },
    ...(needs.teacher && { teacher: await teacherOf(teacher, { path, dryRun }, context) }),
    trainingKey: JSON.stringify({ configs, data: dataset.index, teacher }),
  };
}

async function teacherOf(
  named: string | undefined,
  { path, dryRun }: Pick<RecipeRun, 'path' | 'dryRun'>,
  context: Context,
): Promise<CausalLM> {
  const own = named === undefined ? path : await modelPath(named, context);
  if (own !== path) await requireSameTokenizer(own, await openTokenizer(path));
  return dryRun ? skeleton(await withCheckpoint(own, async ({ config }) => config)) : openModel(own, context);
}
