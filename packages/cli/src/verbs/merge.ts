import { readDocuments } from '@frugal/data';
import {
  type CombinationMethod,
  combinationMethods,
  combineAdapters,
  type MergeMeasurement,
  type ModelMethod,
  mergeModels,
  mergePacked,
  placeAdapters,
  readAdapter,
  saveAdapter,
  saveGgufAdapter,
} from '@frugal/lora';
import { configOf, ggufLayout, huggingFaceNames, saveModel, skeleton, unpackModel } from '@frugal/models';
import { formatNumber } from '@frugal/report';
import { currentBackend } from '@frugal/tensor-core';
import { type CausalLM, PackedLinear } from '@frugal/tensor-core/nn';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { sourceFiles, withCheckpoint } from '../checkpoint.js';
import { type Context, printJson } from '../context.js';
import { CommandError, UsageError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { withProgress } from '../progress.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  MODEL_ARGUMENT,
  number,
  Option,
  type Verb,
  type WriteOptions,
} from '../verb.js';
import { version } from '../version.js';

interface Options extends BackendOptions, WriteOptions, JsonOption {
  readonly adapter?: readonly string[];
  readonly asAdapter?: true;
  readonly weights?: readonly string[];
  readonly method?: CombinationMethod | ModelMethod;
  readonly density: number;
  readonly seed: number;
  readonly rank?: number;
  readonly base?: string;
  readonly text?: readonly string[];
  readonly format?: string;
  readonly minKept: number;
}

const MODEL_METHODS: readonly ModelMethod[] = [
  'linear',
  'slerp',
  'ties',
  'dare_linear',
  'dare_ties',
  'magnitude_prune',
];
/** What the effect of an adapter is measured on. */
const MEASURED_TOKENS = 2048;
const MEASURED_SEQUENCE = 256;

export const mergeVerb: Verb = (program, context) => {
  const methods = [...new Set([...combinationMethods, ...MODEL_METHODS])];
  const command = addVerb(program, {
    name: 'merge',
    summary: 'adapters into a model, adapters into one, or models into one',
    notes: `Packed weights are rounded again when an adapter is merged into them, which can undo what it taught: the effect that is kept
is measured on --text, and the merge refused when it is less than --min-kept.
Several adapters are combined first: cat is the exact weighted sum; ${combinationMethods.slice(1).join(', ')} are those of PEFT.
Models of one shape: ${MODEL_METHODS.join(', ')}; all but the first two need the --base that they were trained from.`,
    examples: [
      'frugal merge model.gguf --adapter runs/adapter --text chats.txt --out runs/merged',
      'frugal merge runs/base --adapter runs/a runs/b --weights 0.7 0.3 --method ties_svd --as-adapter --out runs/ab',
      'frugal merge runs/base --adapter runs/a --as-adapter --out a.gguf',
      'frugal merge runs/a runs/b --base runs/base --method dare_ties --density 0.3 --out runs/ab',
      'frugal merge runs/a runs/b --method slerp --weights 0.4 0.6 --out runs/ab',
    ],
  })
    .argument('<MODEL...>', MODEL_ARGUMENT[1])
    .option('--adapter <DIR...>', "adapters in PEFT's layout for the one MODEL")
    .option(
      '--as-adapter',
      'write the combined adapter, not a model; for llama.cpp where --out ends in .gguf',
    )
    .option('--weights <W...>', 'one per adapter or model (default: equal, with sum 1)')
    .addOption(new Option('--method <NAME>', 'default: cat for adapters, linear for models').choices(methods))
    .option(
      '--density <D>',
      'share of the changes that ties, dare and magnitude_prune keep',
      number(0, 1),
      0.5,
    )
    .option('--seed <N>', 'of the changes that dare keeps', integer(), 0)
    .option('--rank <R>', 'of an adapter that is decomposed anew (default: the largest)', integer(1))
    .option('--base <MODEL>', 'what the models were trained from')
    .option('--text <FILE...>', 'text like that of the training: where the weights are packed')
    .option('--format <FORMAT>', 'packed format of merged layers that are packed (default: as they are)')
    .option('--min-kept <SHARE>', "share of the adapter's effect that must be kept", number(-100, 1), 0.8);
  addBackendOptions(addWriteOptions(command, 'the result')).action(
    async (models: readonly string[], options: Options) => {
      checkFlags(models, options);
      await refuseExisting(options.out, options.force);
      if (!options.dryRun) useBackend(options, context);
      const facts = options.adapter
        ? await mergeAdapters(models[0], options.adapter, options, context)
        : await mergeWhole(models, options, context);
      if (options.json) printJson(context, { out: options.out, dryRun: options.dryRun ?? false, ...facts });
      else
        context.terminal.out(`${options.dryRun ? 'Would write ' : ''}${options.out}: ${describe(facts)}\n`);
    },
  );
};

interface MergeFacts {
  readonly method: string;
  readonly weights: readonly number[];
  /** Layers that an adapter changes, or parameters of models. */
  readonly parts: number;
  readonly measured?: MergeMeasurement;
}

/** One adapter out of all, into the model or as it is. */
async function mergeAdapters(
  source: string,
  folders: readonly string[],
  options: Options,
  context: Context,
): Promise<MergeFacts> {
  const { out, asAdapter, dryRun, density, seed, rank, force = false } = options;
  const method = (options.method ?? 'cat') as CombinationMethod;
  const weights = weightsOf(options, folders.length);
  const path = await modelPath(source, context);
  const needsWeights = !asAdapter && !dryRun;
  const model = needsWeights ? await openModel(path, context) : await emptyModel(path);
  const names = huggingFaceNames(model.config);
  const adapters = [];
  for (const folder of folders)
    adapters.push((await readAdapter(model, folder, names, { backend: currentBackend() })).adapters);
  const facts = { method, weights, parts: new Set(adapters.flatMap((each) => [...each.keys()])).size };
  if (dryRun) return facts;
  const isAlone = adapters.length === 1 && weights[0] === 1;
  const combined = isAlone
    ? adapters[0]
    : await combineAdapters(adapters, {
        method,
        weights,
        density,
        seed,
        ...(rank !== undefined && { rank }),
      });
  const set = placeAdapters(model, combined, false);
  const lineage = [{ role: 'base', name: source }, ...folders.map((name) => ({ role: 'adapter', name }))];
  const manifest = { version: 1 as const, createdBy: `frugal ${version}`, kind: 'merge', sources: lineage };
  if (asAdapter) {
    if (/\.gguf$/i.test(out)) await saveGgufAdapter(set, out, ggufLayout(model.config));
    else await saveAdapter(set, out, { names, baseModel: source.replace(/^hf:/, ''), manifest });
    return facts;
  }
  let measured: MergeMeasurement | undefined;
  if ([...set.layers.values()].some(({ base }) => base instanceof PackedLinear)) {
    const sequences = await measuredText(options, path, model);
    const { format, minKept: minimum } = options;
    measured = await withProgress(context, 'Merging', () =>
      mergePacked(model, set, { sequences, minimum, ...(format && { format }) }),
    );
  } else set.fold();
  await saveModel(model, out, {
    ...(await withCheckpoint(path, sourceFiles)),
    manifest: { ...manifest, ...(measured && { measured: { ...measured } }) },
    force,
  });
  return { ...facts, ...(measured && { measured }) };
}

/** Models of one shape and tokenizer into one, dense in f32. */
async function mergeWhole(
  sources: readonly string[],
  options: Options,
  context: Context,
): Promise<MergeFacts> {
  const { out, base, density, seed, dryRun, force = false } = options;
  const method = (options.method ?? 'linear') as ModelMethod;
  const weights = weightsOf(options, sources.length);
  const all = base === undefined ? sources : [...sources, base];
  const paths: string[] = [];
  for (const source of all) paths.push(await modelPath(source, context));
  await requireOneTokenizer(all, paths);
  const models: CausalLM[] = [];
  for (const path of paths) {
    const model = dryRun ? await emptyModel(path) : await openModel(path, context);
    if (!dryRun) unpackModel(model);
    models.push(model);
  }
  const merged = models.slice(0, sources.length);
  const origin = base === undefined ? {} : { base: models[models.length - 1] };
  const facts = { method, weights, parts: merged[0].parameters().length };
  if (dryRun) return facts;
  await withProgress(context, 'Merging', () =>
    mergeModels(merged, { method, weights, density, seed, ...origin }),
  );
  await saveModel(merged[0], out, {
    ...(await withCheckpoint(paths[0], sourceFiles)),
    manifest: {
      version: 1,
      createdBy: `frugal ${version}`,
      kind: 'merge',
      sources: all.map((name, i) => ({ role: i < sources.length ? 'merged' : 'base', name })),
      merging: { method, weights, density, seed },
    },
    force,
  });
  return facts;
}

/** The structure of a model: enough to check an adapter. */
async function emptyModel(path: string): Promise<CausalLM> {
  return withCheckpoint(path, async (checkpoint) => skeleton(await configOf(checkpoint)));
}

/** Ids must mean the same to all, or the mean of their rows means nothing. */
async function requireOneTokenizer(sources: readonly string[], paths: readonly string[]): Promise<void> {
  const [first, ...others] = await Promise.all(paths.map(openTokenizer));
  const other = others.findIndex(({ fingerprint }) => fingerprint !== first.fingerprint);
  if (other < 0) return;
  throw new CommandError({
    where: sources[other + 1],
    what: 'the models have different tokenizers',
    got: others[other].fingerprint.slice(0, 12),
    expected: `${first.fingerprint.slice(0, 12)} of ${sources[0]}`,
    hint: 'Merge models that were trained from one base.',
  });
}

async function measuredText({ text }: Options, path: string, model: CausalLM): Promise<Int32Array[]> {
  if (!text)
    throw new CommandError({
      where: 'merge',
      what: 'the weights are packed, and rounding them again may undo what the adapter taught',
      expected: '--text with text like that of the training, to measure what is kept',
      hint: 'Or keep the adapter beside the model.',
    });
  const tokenizer = await openTokenizer(path);
  const length = Math.min(MEASURED_SEQUENCE, model.contextLength);
  const sequences: Int32Array[] = [];
  let total = 0;
  for await (const document of readDocuments(text)) {
    const ids = tokenizer.encode(document.text.slice(0, 16 * MEASURED_TOKENS));
    for (let start = 0; start < ids.length && total < MEASURED_TOKENS; start += length) {
      sequences.push(ids.slice(start, Math.min(start + length, start + MEASURED_TOKENS - total)));
      total += sequences[sequences.length - 1].length;
    }
  }
  if (total > 0) return sequences;
  throw new CommandError({ where: text.join(', '), what: 'there is no text' });
}

function weightsOf({ weights }: Options, count: number): number[] {
  if (!weights) return Array.from({ length: count }, () => 1 / count);
  const values = weights.map(Number);
  if (values.length === count && values.every(Number.isFinite)) return values;
  throw new UsageError({
    where: '--weights',
    what: 'the weights do not fit',
    got: weights.join(' '),
    expected: `${count} numbers, one for each that is merged`,
  });
}

function checkFlags(models: readonly string[], { adapter, asAdapter, base, method }: Options): void {
  const refuse = (what: string, hint: string): never => {
    throw new UsageError({ where: 'merge', what, hint });
  };
  if (adapter && models.length > 1) refuse('adapters belong to one model', 'Name one MODEL.');
  if (!adapter && models.length < 2)
    refuse('there is nothing to merge', 'Name an --adapter, or several models.');
  if (!adapter && asAdapter) refuse('--as-adapter is for adapters', 'Leave it out.');
  if (adapter && base) refuse('--base is for models', 'Leave it out.');
  const known: readonly string[] = adapter ? combinationMethods : MODEL_METHODS;
  if (method && !known.includes(method))
    refuse(`--method ${method} is not for ${adapter ? 'adapters' : 'models'}`, `Choose ${known.join(', ')}.`);
}

function describe({ method, weights, parts, measured }: MergeFacts): string {
  const shares = weights.map((weight) => formatNumber(weight)).join(', ');
  const kept = measured
    ? `; ${(100 * measured.kept).toFixed(1)} % of the effect kept on ${measured.tokens} tokens`
    : '';
  return `${method} with weights ${shares}, ${parts} parts${kept}`;
}
