import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Manifest, QuantizedLayoutName } from '@frugal/checkpoint';
import {
  type CompressOptions,
  type CompressReport,
  compress,
  compressWeights,
  createModifier,
  type ModifierFactory,
  openRunStore,
  PlanError,
  parseRecipe,
  plan,
  presetRecipe,
  presets,
  type Recipe,
  RecipeError,
  reportPage,
  type StagePlan,
  type StorageCheck,
} from '@frugal/compress';
import { distillMethods } from '@frugal/distill';
import { loraAdd } from '@frugal/lora';
import { configOf, kindOf, modelOf, saveModel, savingProblems, skeleton, structureOf } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import { type FloatDType, nullBackend } from '@frugal/tensor-core';
import type { CausalLM, Model } from '@frugal/tensor-core/nn';
import { sourceFiles, weightsHash, withCheckpoint } from './checkpoint.js';
import type { Context } from './context.js';
import { readTextFile } from './files.js';
import { withProgress } from './progress.js';
import { version } from './version.js';

/** Every method that a recipe can name: those of all packages. */
export const methods: readonly ModifierFactory[] = [
  ...quantMethods,
  ...pruneMethods,
  ...distillMethods,
  loraAdd,
];

/** A preset, made for this model, or a recipe from a file. @throws RecipeError listing every wrong field */
export async function readRecipe(source: string, model: Model): Promise<Recipe> {
  if (Object.hasOwn(presets, source)) return presetRecipe(source, model);
  if (/[./\\]/.test(source)) return parseRecipe(await readTextFile(source), source);
  throw new RecipeError({
    where: '--recipe',
    what: 'no such preset',
    got: source,
    expected: `${Object.keys(presets).join(', ')}, or a file`,
  });
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

/** Places of one stage with the same method and note, as one row. */
function planRows({ name, modifiers }: StagePlan): CompressionPlan['stages'] {
  return modifiers.flatMap(({ type, sites }) => {
    const notes = [...new Set(sites.map(({ note }) => note))];
    return notes.map((note) => {
      const own = sites.filter((site) => site.note === note);
      const sum = (key: 'bytesBefore' | 'bytesAfter') => own.reduce((total, site) => total + site[key], 0);
      const method = note === undefined ? type : `${type} (${note})`;
      const [bytesBefore, bytesAfter] = [sum('bytesBefore'), sum('bytesAfter')];
      return { name, method, sites: own.length, bytesBefore, bytesAfter };
    });
  });
}

export interface Inputs
  extends Pick<
    CompressOptions,
    'calibration' | 'calibrationDomains' | 'teacher' | 'data' | 'train' | 'score'
  > {
  /** How packed matrices are stored; default: the first layout that holds all. */
  readonly layout?: QuantizedLayoutName | undefined;
  /** What parameters that are not packed are stored in; default: f32. */
  readonly dtype?: FloatDType | undefined;
  /** What stages that train depend on beside the recipe: an interrupted run goes on with the same. */
  readonly trainingKey?: string | undefined;
}

/** Where what is finished of a run stays until its result is saved. */
export function unfinishedFolder(out: string): string {
  return `${out}.unfinished`;
}

export const storageFor =
  ({ layout }: Pick<Inputs, 'layout'>): StorageCheck =>
  (model, packed) =>
    savingProblems(model, packed, layout);

/** What a recipe would do to a model, from its headers alone. @throws PlanError with every problem */
export async function planCompression(
  path: string,
  recipeSource: string,
  inputs: Inputs,
): Promise<CompressionPlan> {
  return withCheckpoint(path, async (checkpoint) => {
    // Dense models are known from their config; packed layers show in the files alone.
    const config = await configOf(checkpoint);
    const mayBePacked = config.quantization_config || checkpoint.kind === 'gguf';
    const model = mayBePacked
      ? await modelOf(checkpoint, { backend: nullBackend(), dtype: 'stored' })
      : structureOf(config, inputs.dtype);
    const recipe = await readRecipe(recipeSource, model);
    const stages = recipe.stages.map(({ name, modifiers }) => ({
      name,
      modifiers: modifiers.map((spec) => createModifier(spec, methods)),
    }));
    const planned = plan(model as CausalLM, stages, { ...inputs, storage: storageFor(inputs) });
    if (planned.problems.length > 0) throw new PlanError(planned.problems);
    return { stages: planned.stages.flatMap(planRows) };
  });
}

export interface CompressionOptions extends Inputs {
  /** Methods beside those that every recipe can name. */
  readonly methods?: readonly ModifierFactory[] | undefined;
  /** A model whose tokenizer and generation settings the result takes over. */
  readonly filesFrom: string;
  readonly force?: boolean | undefined;
  /** Go on with the run that was interrupted on the way to the same place. */
  readonly resume?: boolean | undefined;
  /** The recipe was searched: what an interrupted run made of another recipe is forgotten. */
  readonly isSearched?: boolean;
  /**
   * Which of several processes that train together this is: the first alone writes, and nothing is kept on the way, as
   * one that skips a stage would leave the others waiting.
   */
  readonly rank?: number | undefined;
  /** What the manifest says beside recipe and sizes: kind, sources, data. */
  readonly manifest: (report: CompressReport) => Partial<Manifest>;
  /** What else is written beside the weights, by file name. */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

/**
 * Runs a recipe on a model in memory, shows how far it is, and saves the result. Of models that predict no text only
 * methods that look at weights alone can be used.
 */
export async function compressTo(
  out: string,
  model: Model,
  recipe: Recipe,
  {
    filesFrom,
    force = false,
    resume = false,
    isSearched = false,
    rank,
    manifest: extend,
    files = {},
    methods: own = [],
    ...inputs
  }: CompressionOptions,
  context: Context,
): Promise<CompressReport> {
  const progressFolder = unfinishedFolder(out);
  const ifOther = isSearched ? 'replace' : 'refuse';
  const store =
    rank === undefined
      ? await openRunStore(progressFolder, await runKey(filesFrom, recipe, inputs), { resume, ifOther })
      : undefined;
  const compressed = await withProgress(context, 'Compressing', (update) => {
    const common = {
      methods: [...methods, ...own],
      storage: storageFor(inputs),
      ...(store && { store }),
      signal: context.signal,
      onProgress: ({ done, total, path }: { done: number; total: number; path: string }) =>
        update(done, total, path),
    };
    return isLanguageModel(model)
      ? compress(model, recipe, { ...inputs, ...common, rebuild: skeleton })
      : compressWeights(model, recipe, common);
  });
  const { report, manifest } = compressed;
  if ((rank ?? 0) > 0) return report;
  await saveModel(compressed.model, out, {
    ...(await withCheckpoint(filesFrom, sourceFiles)),
    layout: inputs.layout,
    dtype: inputs.dtype,
    manifest: { ...manifest, createdBy: `frugal ${version}`, ...extend(report) },
    // With the weights, in one step: a run killed just after must not leave a model without them.
    extraFiles: { ...files, [REPORT_PAGE]: reportPage(report, `${filesFrom} → ${out}`) },
    force,
  });
  await rm(progressFolder, { recursive: true, force: true });
  return report;
}

function isLanguageModel(model: Model): model is CausalLM {
  return kindOf(model.config) === 'decoder';
}

/** The page with charts that is written beside the weights. */
const REPORT_PAGE = 'compression.html';

/** Tells one run from another: recipe, weights and calibration. */
async function runKey(
  filesFrom: string,
  recipe: Recipe,
  { calibration = [], calibrationDomains: domains, trainingKey: training }: Inputs,
): Promise<string> {
  const model = await weightsHash(filesFrom);
  return JSON.stringify({ recipe, model, calibration: sequencesHash(calibration), domains, training });
}

export function sequencesHash(sequences: readonly ArrayLike<number>[]): string {
  const tokens = createHash('sha256');
  for (const sequence of sequences) tokens.update(JSON.stringify(Array.from(sequence)));
  return tokens.digest('hex');
}
