import { type QuantizedLayoutName, quantizedLayouts } from '@frugal/checkpoint';
import { type CompressReport, presets } from '@frugal/compress';
import { configOf, structureOf } from '@frugal/models';
import { formatBytes, formatChange, formatNumber, renderTable } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { namedCalibration } from '../calibration.js';
import { storedDType, withCheckpoint } from '../checkpoint.js';
import { compressTo, type Inputs, planCompression, readRecipe } from '../compression.js';
import { type Context, printJson } from '../context.js';
import { refuseExisting } from '../files.js';
import { modelPath, openAnyModel, weightFileBytes } from '../model.js';
import { addTrainingOptions } from '../training/options.js';
import { type RecipeTrainingFlags, recipeTraining } from '../training/recipe-training.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  MODEL_ARGUMENT,
  Option,
  type Verb,
  type WriteOptions,
} from '../verb.js';
import { addSearchOptions, type SearchFlags, search, searchTarget } from './search.js';

interface Options extends BackendOptions, WriteOptions, JsonOption, SearchFlags, RecipeTrainingFlags {
  readonly recipe?: string;
  readonly calibration?: readonly string[];
  readonly calibrationTokens: number;
  readonly resume?: true;
  readonly layout?: QuantizedLayoutName;
}

const EXAMPLE = `  version: 1
  seed: 0
  stages:
    - name: smooth
      modifiers:
        - { type: quant.smooth, targets: { include: ['blocks.**'] } }
    - name: int8
      modifiers:
        - type: quant.rtn
          targets: { include: ['blocks.**'], exclude: ['blocks.0.**'] }
          format: int8-channel
          activation: int8`;

const TRAINING_NOTES = `Stages that train (distill.logits, train.next-token, prune.gradual, quant.qat, …) need --data. How they train
stands in the recipe, as training of the stage ({ steps: 300, learningRate: 5e-4, … }, as in frugal pretrain --help);
flags stand above it. The teacher is the model before, or --teacher.`;

const presetList = Object.entries(presets)
  .map(([name, { summary }]) => `  ${name.padEnd(15)} ${summary}`)
  .join('\n');

interface Flavour {
  readonly name: string;
  readonly summary: string;
  /** Left out: the recipe must be named, or searched. */
  readonly recipe?: string;
  readonly examples: readonly string[];
}

/** Three names for running a recipe: they differ in what happens when nobody names one. */
const flavours: readonly Flavour[] = [
  {
    name: 'prune',
    summary: 'remove weights, neurons, heads or layers of a model',
    recipe: '2:4',
    examples: [
      'frugal prune runs/model --recipe wanda-50 --calibration text.txt --out runs/sparse',
      'frugal prune runs/model --recipe half-depth --calibration text.txt --out runs/shallow',
    ],
  },
  {
    name: 'quantize',
    summary: 'store the weights of a model in fewer bits',
    recipe: 'int8',
    examples: [
      'frugal quantize runs/student --out runs/student-int8',
      'frugal quantize runs/model --recipe int4-gptq --calibration text.txt --out runs/int4 --dry-run',
    ],
  },
  {
    name: 'compress',
    summary: 'run a recipe of compression methods on a model, or search one for a size or a loss',
    examples: [
      'frugal compress runs/student --recipe recipe.yaml --out runs/small --dry-run',
      'frugal compress runs/student --target-size 60MB --calibration text.txt --out runs/small',
      'frugal compress runs/student --max-loss 2% --calibration text.txt --validation other.txt --out runs/small',
      'frugal compress runs/student --recipe recipe.yaml --out runs/small --calibration data/split/train.jsonl',
      'frugal compress runs/model --recipe deepseek-cheap --calibration text.txt --data data/packed --out runs/cheap',
    ],
  },
];

const verbs: readonly Verb[] = flavours.map((flavour) => (program, context) => {
  const notes = `Presets:\n${presetList}\n\nA recipe is YAML or JSON; targets are globs over module paths:\n\n${EXAMPLE}\n\n${TRAINING_NOTES}`;
  const command = addVerb(program, { ...flavour, notes })
    .argument(...MODEL_ARGUMENT)
    .option(
      '--calibration <FILES...>',
      'text for methods that need statistics: text files or .jsonl; NAME=FILE tells kinds of text apart',
    )
    .option('--calibration-tokens <N>', 'how much of it is used', integer(1), 32_768)
    .option('--resume', 'go on with the run that was interrupted')
    .option('--data <DIR>', 'what stages that train learn from: made by frugal data pack')
    .option('--teacher <MODEL>', 'who teaches in stages that distil (default: the model as it was)')
    .addOption(
      new Option(
        '--layout <NAME>',
        'how packed weights are stored (default: the first that holds all)',
      ).choices(quantizedLayouts),
    );
  const recipe = ['--recipe <PRESET|FILE>', 'what to do'] as const;
  if (flavour.recipe) command.option(...recipe, flavour.recipe);
  else addSearchOptions(command.option(...recipe));
  addTrainingOptions(command);
  addBackendOptions(addWriteOptions(command, 'the model')).action((source: string, options: Options) =>
    runRecipe(source, options, context),
  );
});

export const [pruneVerb, quantizeVerb, compressVerb] = verbs;

async function runRecipe(source: string, options: Options, context: Context): Promise<void> {
  const { out, force, resume, json } = options;
  const target = searchTarget(options);
  await refuseExisting(out, force);
  const path = await modelPath(source, context);
  if (options.dryRun) {
    const inputs = await inputsOf(path, options);
    const training = await trainingInputs(path, options, context);
    return showPlan(path, options.recipe as string, { ...inputs, ...training }, options, context);
  }
  useBackend(options, context);
  const found = target && (await search(path, target, options, context));
  const inputs = found?.inputs ?? (await inputsOf(path, options));
  const training = found ? {} : await trainingInputs(path, options, context);
  // Of the files: in memory a model is larger, which is computed in f32 whatever it is stored in. Now, as OUT may replace it.
  const before = await weightFileBytes(path);
  const model = await openAnyModel(path, context);
  const recipe = found?.result.recipe ?? (await readRecipe(options.recipe as string, model));
  const manifest = () => ({ sources: [{ role: 'base', name: source }] });
  const report = await compressTo(
    out,
    model,
    recipe,
    {
      filesFrom: path,
      force,
      resume,
      isSearched: found !== undefined,
      manifest,
      files: found?.files,
      ...inputs,
      ...training,
    },
    context,
  );
  await found?.forget();
  const weights = { before, after: await weightFileBytes(out) };
  if (json) printJson(context, { out, ...report, weights, ...(found && { search: found.result }) });
  else printReport(out, report, weights, context);
}

/** What stages that train need. */
async function trainingInputs(path: string, options: Options, context: Context): Promise<Partial<Inputs>> {
  const { recipe: source, out, resume = false, dryRun = false } = options;
  const config = await withCheckpoint(path, configOf);
  const recipe = await readRecipe(source as string, structureOf(config));
  return recipeTraining(recipe, options, { path, out, resume, dryRun }, context);
}

async function inputsOf(path: string, { calibration, calibrationTokens, layout }: Options): Promise<Inputs> {
  const dtype = await withCheckpoint(path, async (checkpoint) => storedDType(checkpoint));
  if (!calibration) return { layout, dtype };
  return { layout, dtype, ...(await namedCalibration(path, calibration, calibrationTokens)) };
}

/** Says what a recipe would do. @throws PlanError with every problem */
export async function showPlan(
  path: string,
  recipe: string,
  inputs: Inputs,
  { json }: JsonOption,
  context: Context,
): Promise<void> {
  const { stages } = await planCompression(path, recipe, inputs);
  if (json) return printJson(context, { stages });
  const bytes = 'bytes' as const;
  const columns = [
    { title: 'stage' },
    { title: 'method' },
    { title: 'places' },
    { title: 'before', format: bytes },
    { title: 'after', format: bytes },
  ];
  const rows = stages.map(({ name, method, sites, bytesBefore, bytesAfter }) => [
    name,
    method,
    sites,
    bytesBefore,
    bytesAfter,
  ]);
  context.terminal.out(`${renderTable(columns, rows)}\n`);
}

function printReport(
  out: string,
  { stages, scoreBefore }: CompressReport,
  weights: { readonly before: number; readonly after: number },
  { terminal }: Context,
): void {
  const columns = [
    { title: 'stage' },
    { title: 'methods' },
    { title: 'places' },
    { title: 'time', format: 'duration' as const },
  ];
  const rows = stages.map(({ name, modifiers, seconds }) => [
    name,
    modifiers.map(({ type }) => type).join(', '),
    modifiers.reduce((sum, { sites }) => sum + sites.length, 0),
    seconds,
  ]);
  terminal.out(`${renderTable(columns, rows)}\n\n`);
  const sizes = `${formatBytes(weights.before)} → ${formatBytes(weights.after)}`;
  terminal.out(`${out}: ${sizes} (${formatChange(weights.before, weights.after)})\n`);
  const scoreAfter = stages.at(-1)?.score;
  if (scoreBefore === undefined || scoreAfter === undefined) return;
  const [before, after] = [scoreBefore, scoreAfter].map((score) => formatNumber(score, { decimals: 3 }));
  terminal.out(`perplexity: ${before} → ${after} (${formatChange(scoreBefore, scoreAfter)})\n`);
}
