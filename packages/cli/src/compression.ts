import { type Checkpoint, type Manifest, openCheckpoint, readTokenizerFiles } from '@frugal/checkpoint';
import {
  type CompressOptions,
  type CompressReport,
  compress,
  createModifier,
  type ModifierFactory,
  PlanError,
  parseRecipe,
  plan,
  type Recipe,
} from '@frugal/compress';
import { logitDistillation } from '@frugal/distill';
import { modelOf, saveModel, skeleton } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { nullBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Context } from './context.js';
import { readTextFile } from './files.js';
import { withProgress } from './progress.js';
import { version } from './version.js';

/** Every method that a recipe can name. A new one is its package and one entry here. */
export const methods: readonly ModifierFactory[] = [roundToNearest, logitDistillation];

/** Recipes by name: the ones that need no thought. */
export const namedRecipes: Readonly<Record<string, Recipe>> = {
  /** Weights in int8 per output channel, activations in int8 per token. */
  int8: {
    version: 1,
    seed: 0,
    stages: [
      {
        name: 'int8',
        modifiers: [
          { type: 'quant.rtn', targets: { include: ['**'] }, format: 'int8-channel', activation: 'int8' },
        ],
      },
    ],
  },
};

/** A named recipe, or one from a file. @throws RecipeError listing every wrong field */
export async function readRecipe(source: string): Promise<Recipe> {
  if (Object.hasOwn(namedRecipes, source)) return namedRecipes[source];
  return parseRecipe(await readTextFile(source), source);
}

export interface CompressionPlan {
  readonly stages: readonly {
    readonly name: string;
    readonly method: string;
    readonly sites: number;
    readonly bytesBefore: number;
    readonly bytesAfter: number;
  }[];
}

export type Inputs = Pick<CompressOptions, 'calibration' | 'teacher' | 'data' | 'train'>;

/** What a recipe would do to a model, from its headers alone. @throws PlanError with every problem */
export async function planCompression(
  path: string,
  recipe: Recipe,
  inputs: Inputs,
): Promise<CompressionPlan> {
  return withCheckpoint(path, async (checkpoint) => {
    // Dense models are known from their config; packed layers show in the files alone.
    const { config } = checkpoint;
    const model = config.quantization_config
      ? await modelOf(checkpoint, { backend: nullBackend() })
      : skeleton(config);
    const stages = recipe.stages.map(({ name, modifiers }) => ({
      name,
      modifiers: modifiers.map((spec) => createModifier(spec, methods)),
    }));
    const planned = plan(model, stages, inputs);
    if (planned.problems.length > 0) throw new PlanError(planned.problems);
    const sum = (
      sites: readonly { bytesBefore: number; bytesAfter: number }[],
      key: 'bytesBefore' | 'bytesAfter',
    ) => sites.reduce((total, site) => total + site[key], 0);
    return {
      stages: planned.stages.flatMap(({ name, modifiers }) =>
        modifiers.map(({ type, sites }) => ({
          name,
          method: type,
          sites: sites.length,
          bytesBefore: sum(sites, 'bytesBefore'),
          bytesAfter: sum(sites, 'bytesAfter'),
        })),
      ),
    };
  });
}

export interface CompressionOptions extends Inputs {
  /** A model whose tokenizer and generation settings the result takes over. */
  readonly filesFrom: string;
  readonly force?: boolean | undefined;
  /** What the manifest says beside recipe and sizes: kind, sources, data. */
  readonly manifest: (report: CompressReport) => Partial<Manifest>;
}

/** Runs a recipe on a model in memory, shows how far it is, and saves the result. */
export async function compressTo(
  out: string,
  model: CausalLM,
  recipe: Recipe,
  { filesFrom, force = false, manifest: extend, ...inputs }: CompressionOptions,
  context: Context,
): Promise<CompressReport> {
  const compressed = await withProgress(context, 'Compressing', (update) =>
    compress(model, recipe, {
      ...inputs,
      methods,
      rebuild: skeleton,
      onProgress: ({ done, total, path }) => update(done, total, path),
    }),
  );
  const { report, manifest } = compressed;
  await saveModel(compressed.model, out, {
    ...(await withCheckpoint(filesFrom, sourceFiles)),
    manifest: { ...manifest, createdBy: `frugal ${version}`, ...extend(report) },
    force,
  });
  return report;
}

/** What a model takes over unchanged from the one it was made of. */
async function sourceFiles(checkpoint: Checkpoint) {
  const name = 'generation_config.json';
  const generationConfig = checkpoint.files.includes(name)
    ? ((await checkpoint.readJson(name)) as object)
    : undefined;
  return {
    tokenizerFiles: await readTokenizerFiles(checkpoint),
    ...(generationConfig && { generationConfig }),
  };
}

async function withCheckpoint<T>(path: string, use: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}
