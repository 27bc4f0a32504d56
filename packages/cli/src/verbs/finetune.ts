import type { Manifest } from '@frugal/checkpoint';
import {
  type AdapterOptions,
  type AdapterSet,
  attachAdapters,
  attachPrincipalAdapters,
  loraPlus,
  saveAdapter,
} from '@frugal/lora';
import { configOf, huggingFaceNames, saveModel, skeleton, unpackModel } from '@frugal/models';
import { formatDuration, formatNumber } from '@frugal/report';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { adapterTargets } from '../adapters.js';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { sourceFiles, withCheckpoint } from '../checkpoint.js';
import { type Context, printJson } from '../context.js';
import { UsageError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { type NamedPlace, PLACE_OPTION, spread } from '../placement.js';
import { localFiles } from '../sources.js';
import { checkContext, stepsOf, type TrainingConfig, type TrainingOverrides } from '../training/config.js';
import { addTrainingOptions, type TrainingFlags, trainingOf } from '../training/options.js';
import { finishRun, openRunDirectory, type RunOptions, runDirectoryOf } from '../training/run-directory.js';
import {
  languageModelJob,
  runTraining,
  type TrainingRecord,
  trainingFacts,
} from '../training/run-training.js';
import {
  addTeamOptions,
  type Distributed,
  inTeam,
  isMain,
  launchedTeam,
  type TeamFlags,
} from '../training/team.js';
import { openTuningSet, type TuningSet } from '../training/tuning-batches.js';
import { TUNING_RATE, TUNING_SEQUENCE, tuningDefaults } from '../training/tuning-defaults.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, number, type Verb } from '../verb.js';
import { version } from '../version.js';

interface Options extends BackendOptions, RunOptions, TrainingFlags, TeamFlags, JsonOption {
  readonly data: readonly string[];
  readonly out: string;
  readonly dryRun?: boolean;
  readonly epochs?: number;
  readonly accumulate?: number;
  readonly lora?: true;
  readonly full?: true;
  readonly rank: number;
  readonly alpha?: number;
  readonly targets?: readonly string[];
  readonly dora?: true;
  readonly rslora?: true;
  readonly pissa?: true;
  readonly loraPlus?: number;
  readonly place?: readonly NamedPlace[];
}

const DEFAULTS = {
  sequence: `${TUNING_SEQUENCE}, or the model's context`,
  batch: '4',
  learningRate: `${TUNING_RATE.lora}; --full: ${TUNING_RATE.full}`,
};

export const finetuneVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'finetune',
    summary: 'teach a model by examples: conversations, or plain text',
    notes: `FILE is text, or has one JSON object per line (or a list of them in .json): {"messages": [{"role", "content"}, …]},
{"prompt", "completion"}, {"instruction", "input", "output"}, {"conversations": [{"from", "value"}, …]}, or {"text"}.
Conversations go through the model's chat template, and answers alone are learned. The result of --lora is an adapter in
PEFT's layout (frugal generate MODEL --adapter DIR); that of --full is a model.`,
    examples: [
      'frugal finetune model.gguf --data chats.jsonl --out runs/adapter',
      'frugal finetune hf:org/model --data chats.jsonl --rank 8 --targets q_proj v_proj --dora --out runs/adapter',
      'frugal finetune runs/base --data novel.txt --full --sequence 256 --out runs/tuned',
      'mpirun -np 4 frugal finetune hf:org/model --data chats.jsonl --local-steps 50 --out runs/adapter',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--data <FILE...>', 'conversations or text')
    .requiredOption('--out <DIR>', 'where the adapter or model goes')
    .option('--lora', 'train low-rank adapters beside the weights as they are (the default)')
    .option('--full', 'train all weights, unpacked to f32')
    .option('--rank <R>', 'of the adapters', integer(1), 16)
    .option('--alpha <A>', 'the adapters are scaled by alpha / rank (default: twice the rank)', number(0))
    .option(
      '--targets <NAME...>',
      "layers: ends of Hugging Face's names, or globs (default: all but the head)",
    )
    .option('--dora', 'learn the length of each row apart (DoRA)')
    .option('--rslora', 'scale by alpha / √rank (rsLoRA)')
    .option('--pissa', 'begin with the principal parts of the weights (PiSSA)')
    .option('--lora-plus <RATIO>', 'B learns this many times as fast as A (LoRA+)', number(0))
    .option('--epochs <E>', 'passes over the data (default: 1, unless --steps is given)', number(0))
    .option('--accumulate <N>', 'batches per step (default: 1)', integer(1))
    .option(...PLACE_OPTION)
    .option('--resume', 'go on from the last checkpoint')
    .option('--force', 'replace the result, and forget checkpoints')
    .option('--dry-run', 'check everything and say what would be done');
  addBackendOptions(addTeamOptions(addTrainingOptions(command, DEFAULTS))).action(
    async (source: string, options: Options) => {
      checkFlags(options);
      await refuseExisting(options.out, options.force);
      const path = await modelPath(source, context);
      const plan = await planRun(path, options, context);
      const team = launchedTeam(options);
      if (options.dryRun) return describeRun(plan, options, context);
      useBackend(options, context);
      await inTeam(team?.settings, team?.rank, context, async (distributed) => {
        const record = await finetune({ source, path, plan, distributed }, options, context);
        if (!isMain(distributed)) return;
        if (options.json) return printJson(context, { out: options.out, ...factsOf(plan), ...record });
        const facts = `${formatNumber(record.tokens)} tokens in ${formatDuration(record.seconds)}, loss ${record.loss?.toFixed(4)}`;
        context.terminal.out(`${options.out}: ${facts}\n`);
      });
    },
  );
};

interface RunPlan {
  readonly kind: 'lora' | 'full';
  readonly training: TrainingConfig;
  readonly set: TuningSet;
  /** Parameters that are trained. */
  readonly trainable: number;
  readonly adapter: AdapterOptions | null;
}

/** Everything that can be known before weights are read. @throws when something does not fit */
async function planRun(path: string, options: Options, context: Context): Promise<RunPlan> {
  const kind = options.full ? 'full' : 'lora';
  const tokenizer = await openTokenizer(path);
  const model = await withCheckpoint(path, async (checkpoint) => skeleton(await configOf(checkpoint)));
  const settings: TrainingOverrides = {
    ...tuningDefaults(kind, model),
    steps: 1,
    ...(options.loraPlus !== undefined && { optimizer: loraPlus(options.loraPlus) }),
    ...(options.accumulate !== undefined && { accumulate: options.accumulate }),
  };
  const sizes = trainingOf(options, settings);
  checkContext(model, sizes);
  const set = await openTuningSet(await localFiles(options.data, context), tokenizer, sizes.sequence);
  const steps = options.steps ?? Math.max(1, Math.ceil((options.epochs ?? 1) * set.stepsPerEpoch(sizes)));
  const adapter = kind === 'lora' ? adapterOptions(model, options, sizes.seed) : null;
  if (adapter) attachAdapters(model, adapter); // checks it, and counts
  const trainable = model
    .parameters()
    .reduce((sum, parameter) => sum + (parameter.trainable ? sizeOf(parameter.shape) : 0), 0);
  return { kind, training: { ...sizes, steps }, set, trainable, adapter };
}

function adapterOptions(model: CausalLM, options: Options, seed: number): AdapterOptions {
  const { rank, alpha, targets, dora, rslora } = options;
  return {
    targets: { include: adapterTargets(model, targets) },
    rank,
    ...(alpha !== undefined && { alpha }),
    magnitudes: dora ?? false,
    rankStabilized: rslora ?? false,
    seed,
  };
}

/** Trains as planned and saves the adapter, or the model with its tokenizer. */
async function finetune(
  {
    source,
    path,
    plan,
    distributed,
  }: {
    readonly source: string;
    readonly path: string;
    readonly plan: RunPlan;
    readonly distributed: Distributed | undefined;
  },
  options: Options,
  context: Context,
): Promise<TrainingRecord> {
  const { training, set, adapter, kind } = plan;
  const { out, data, resume = false, force = false } = options;
  const settings = { source, data, kind, adapter, pissa: options.pissa ?? false, training };
  const run = isMain(distributed) ? await openRunDirectory(out, settings, options) : runDirectoryOf(out);
  const model = await openModel(path, context);
  const attach = options.pissa ? attachPrincipalAdapters : attachAdapters;
  let adapters: AdapterSet | null = null;
  if (adapter) adapters = await attach(model, adapter);
  else unpackModel(model);
  if (options.place) await spread(model, options.place);
  const record = await runTraining(
    { ...languageModelJob(model, training, { balance: kind === 'full' }), batches: set.batches(training) },
    { label: 'finetune', config: training, run, resume, distributed },
    context,
  );
  if (!isMain(distributed)) return record;
  const manifest: Manifest = {
    version: 1,
    createdBy: `frugal ${version}`,
    kind: `finetune ${kind}`,
    seed: training.seed,
    sources: [{ role: 'base', name: source }],
    data: data.map((name) => ({ role: 'training', name })),
    training: trainingFacts(training, record),
  };
  if (adapters) {
    const names = huggingFaceNames(model.config);
    await saveAdapter(adapters, out, { names, baseModel: source.replace(/^hf:/, ''), manifest });
  } else {
    await saveModel(model, out, { ...(await withCheckpoint(path, sourceFiles)), manifest, force });
  }
  await finishRun(run);
  return record;
}

function checkFlags(options: Options): void {
  const { full, lora, dora, rslora, pissa, targets, alpha, steps, epochs } = options;
  const refuse = (what: string, hint: string): never => {
    throw new UsageError({ where: 'finetune', what, hint });
  };
  if (full && lora) refuse('--lora and --full exclude each other', 'Choose one of them.');
  const adapterFlags = dora || rslora || pissa || targets || alpha !== undefined || options.loraPlus;
  if (full && adapterFlags)
    refuse(
      '--dora, --rslora, --pissa, --lora-plus, --alpha and --targets belong to adapters',
      'Leave --full out.',
    );
  if (steps !== undefined && epochs !== undefined)
    refuse('--steps and --epochs both say how long', 'Give one of them.');
}

function describeRun(plan: RunPlan, { out, json }: Options, context: Context): void {
  if (json) {
    printJson(context, { out, ...factsOf(plan) });
    return;
  }
  const { kind, set, training, trainable } = plan;
  const lost = set.cut > 0 ? `, ${set.cut} cut, ${set.dropped} without an answer left` : '';
  const records = set.kind === 'chat' ? 'conversations' : 'documents';
  context.terminal.out(
    `Would write ${out}: ${kind}, ${formatNumber(trainable)} parameters trained, ${stepsOf(training)} steps; ` +
      `${set.records} ${records}, ${formatNumber(set.tokens)} tokens, ${formatNumber(set.targets)} of them predicted${lost}\n`,
  );
}

function factsOf({ kind, set, training, trainable }: RunPlan) {
  const { records, tokens: tokensPerEpoch, targets, cut, dropped } = set;
  const epochs = stepsOf(training) / set.stepsPerEpoch(training);
  return {
    kind,
    trainable,
    steps: stepsOf(training),
    epochs,
    [set.kind === 'chat' ? 'conversations' : 'documents']: records,
    tokensPerEpoch,
    targets,
    cut,
    dropped,
  };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
