import type { CompressOptions, CompressReport, Recipe } from '@frugal/compress';
import { readDocuments } from '@frugal/data';
import { formatBytes, formatChange, renderTable } from '@frugal/report';
import type { Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { compressTo, planCompression, readRecipe } from '../compression.js';
import { type Context, printJson } from '../context.js';
import { refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  MODEL_ARGUMENT,
  type Verb,
  type WriteOptions,
} from '../verb.js';

interface Options extends BackendOptions, WriteOptions, JsonOption {
  readonly recipe: string;
  readonly calibration?: readonly string[];
  readonly calibrationTokens: number;
}

const EXAMPLE = `  version: 1
  seed: 0
  stages:
    - name: int8
      modifiers:
        - type: quant.rtn
          targets: { include: ['blocks.**'], exclude: ['blocks.0.**'] }
          format: int8-channel
          activation: int8`;

export const compressVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'compress',
    summary: 'run a recipe of compression methods on a model',
    notes: `A recipe is YAML or JSON; targets are globs over module paths:\n\n${EXAMPLE}\n\nStages that train run through frugal distill.`,
    examples: [
      'frugal compress runs/student --recipe recipe.yaml --out runs/small --dry-run',
      'frugal compress runs/student --recipe recipe.yaml --out runs/small --calibration data/split/train.jsonl',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--recipe <FILE>', 'what to do')
    .option('--calibration <FILES...>', 'text for methods that need statistics: text files or .jsonl')
    .option('--calibration-tokens <N>', 'how much of it is used', integer(1), 32_768);
  addBackendOptions(addWriteOptions(command, 'the model')).action(
    async (source: string, options: Options) => {
      const { out, force, json } = options;
      await refuseExisting(out, force);
      const recipe = await readRecipe(options.recipe);
      const path = await modelPath(source, context);
      const calibration =
        options.calibration && (await calibrationOf(options.calibration, path, options.calibrationTokens));
      if (options.dryRun) return showPlan(path, recipe, { calibration }, options, context);
      useBackend(options, context);
      const model = await openModel(path, context);
      const manifest = () => ({ sources: [{ role: 'base', name: source }] });
      const report = await compressTo(
        out,
        model,
        recipe,
        { filesFrom: path, force, manifest, calibration },
        context,
      );
      if (json) printJson(context, { out, ...report });
      else printReport(out, report, context);
    },
  );
};

/** Says what a recipe would do. @throws PlanError with every problem */
export async function showPlan(
  path: string,
  recipe: Recipe,
  inputs: Pick<CompressOptions, 'calibration'>,
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
  { bytesBefore, bytesAfter, stages }: CompressReport,
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
  const change = `${formatBytes(bytesBefore)} → ${formatBytes(bytesAfter)} (${formatChange(bytesBefore, bytesAfter)})`;
  terminal.out(`${out}: ${change}\n`);
}

const CALIBRATION_SEQUENCE = 512;

/** Sequences from the beginnings of documents, until there are enough tokens. */
async function calibrationOf(
  files: readonly string[],
  source: string,
  tokens: number,
): Promise<Int32Array[]> {
  const tokenizer: Tokenizer = await openTokenizer(source);
  const sequences: Int32Array[] = [];
  let used = 0;
  for await (const { text } of readDocuments(files)) {
    if (used >= tokens) break;
    const sequence = tokenizer
      .encode(text.slice(0, 16 * CALIBRATION_SEQUENCE))
      .slice(0, CALIBRATION_SEQUENCE);
    sequences.push(sequence);
    used += sequence.length;
  }
  return sequences;
}
