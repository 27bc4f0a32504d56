import { openDataset } from '@frugal/data';
import { countParameters } from '@frugal/eval';
import { createModel, saveModel, skeleton } from '@frugal/models';
import { formatBytes, formatDuration, formatNumber } from '@frugal/report';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { loadTokenizer, type Tokenizer } from '@frugal/tokenizers';
import { mpiLaunch, type TrainOptions } from '@frugal/trainer';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { CommandError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { type NamedPlace, PLACE_OPTION, spread } from '../placement.js';
import { checkContext, type Experiment, readExperiment, stepsOf } from '../training/config.js';
import { finishRun, openRunDirectory, type RunOptions, runDirectoryOf } from '../training/run-directory.js';
import {
  batchesOf,
  evaluationOf,
  languageModelJob,
  runTraining,
  type TrainingRecord,
  trainingFacts,
} from '../training/run-training.js';
import { inTeam, isMain, mainFirst, withLaunch } from '../training/team.js';
import { openTrainingData } from '../training/training-data.js';
import { addVerb, integer, type JsonOption, type Verb } from '../verb.js';
import { version } from '../version.js';

interface Options extends BackendOptions, RunOptions, JsonOption {
  readonly dryRun?: boolean;
  readonly rank?: number;
  readonly place?: readonly NamedPlace[];
}

const EXAMPLE = `  model:                      # config.json of Hugging Face; vocab_size comes from the tokenizer
    architectures: [LlamaForCausalLM]
    hidden_size: 192
    intermediate_size: 480
    num_hidden_layers: 4
    num_attention_heads: 3
    max_position_embeddings: 512
    tie_word_embeddings: true
  data: data/packed           # frugal data pack; or a list: [pages.jsonl.gz, hf:datasets/org/name]
  tokenizer: tokenizer        # frugal data train-tokenizer
  out: runs/teacher
  training:
    tokens: 2.1e6             # or steps
    sequence: 128
    batch: 16
    learningRate: 8e-3
    optimizer: muon           # or adamw, adamw8bit, {type: groups, groups: [...]}
    averageDecay: 0.999       # optional: evaluate and save a moving average of the weights
    recompute: true           # optional: less memory, a third more work; {keepBytes: 4e8}: that much more memory, less work
  evaluation:                 # optional
    texts: [data/split/held-out.jsonl]
    every: 200
    patience: 5               # optional: stop after 5 evaluations that were no better
  distributed:                # optional, with mpirun -np N frugal pretrain
    localSteps: 50            # optional: exchange weights after 50 steps only, early more often (DiLoCo)
    # folder: exchange        # instead of mpirun: processes that share a folder, each with its --rank
    # ranks: 2`;

export const pretrainVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'pretrain',
    summary: 'train a new model from random weights',
    notes: `CONFIG, with paths relative to its folder:\n\n${EXAMPLE}`,
    examples: [
      'frugal pretrain teacher.yaml --dry-run',
      'frugal pretrain teacher.yaml',
      'frugal pretrain teacher.yaml --resume',
      'mpirun -np 2 frugal pretrain teacher.yaml',
    ],
  })
    .argument('<CONFIG>', 'a YAML or JSON file')
    .option(...PLACE_OPTION)
    .option('--resume', 'go on from the last checkpoint')
    .option('--force', 'replace the result, and forget checkpoints')
    .option(
      '--rank <R>',
      'which of the processes this is that exchange files in distributed.folder',
      integer(),
    )
    .option('--dry-run', 'check everything and say what would be done');
  addBackendOptions(command).action(async (file: string, options: Options) => {
    const experiment = withLaunch(await readExperiment(file));
    if (options.dryRun) {
      if ((mpiLaunch()?.rank ?? 0) === 0) await describeRun(experiment, options, context);
      return;
    }
    useBackend(options, context);
    await inTeam(experiment.distributed, options.rank, context, async (distributed) => {
      const record = await pretrain(experiment, options, context, distributed);
      if (!isMain(distributed)) return;
      if (options.json) return printJson(context, { out: experiment.out, ...record });
      tell(experiment.out, record, context);
    });
  });
};

function tell(out: string, record: TrainingRecord, { terminal }: Context): void {
  const { tokens, seconds, loss, metrics, distribution } = record;
  const bits = 'bitsPerByte' in metrics ? `, ${metrics.bitsPerByte.toFixed(4)} bits per byte held out` : '';
  terminal.out(
    `${out}: ${formatNumber(tokens)} tokens in ${formatDuration(seconds)}, loss ${loss?.toFixed(4)}${bits}\n`,
  );
  if (!distribution) return;
  const { ranks, shares, bytesPerStep } = distribution;
  terminal.out(
    `${ranks} ranks, shares ${shares.join(':')}, ${formatBytes(bytesPerStep)} received per step\n`,
  );
}

/** Trains the model of an experiment and saves it with its tokenizer. */
export async function pretrain(
  experiment: Experiment,
  options: RunOptions & Pick<Options, 'place'>,
  context: Context,
  distributed?: TrainOptions['distributed'],
): Promise<TrainingRecord> {
  const { data, out, training, evaluation } = experiment;
  const isFirst = isMain(distributed);
  const tokenizer = await loadTokenizer(experiment.tokenizer);
  const model = createModel(modelConfig(experiment, tokenizer), { seed: training.seed });
  checkContext(model, training, evaluation);
  if (options.place) await spread(model, options.place);
  // Only the first process looks at what is there, and writes.
  const run = isFirst ? await openRunDirectory(out, experiment, options) : runDirectoryOf(out);
  const resume = options.resume ?? false;
  const dataset = await mainFirst(distributed, () =>
    openTrainingData(data, tokenizer, { out, resume: resume || !isFirst }, context),
  );
  const evaluate = evaluation && (await evaluationOf(model, tokenizer, evaluation, training));
  const record = await runTraining(
    { ...languageModelJob(model, training), batches: batchesOf(dataset, training) },
    { label: 'pretrain', config: training, run, resume, evaluate, distributed },
    context,
  );
  if (!isFirst) return record;
  await saveModel(model, out, {
    tokenizerFiles: tokenizer.files(),
    force: options.force ?? false,
    manifest: {
      version: 1,
      createdBy: `frugal ${version}`,
      kind: 'pretrain',
      seed: training.seed,
      data: [{ role: 'training', name: [data].flat().join(', '), tokens: dataset.index.tokens }],
      training: trainingFacts(training, record),
    },
  });
  await finishRun(run);
  return record;
}

/** @throws CommandError when the vocabulary of the config is too small for the tokenizer */
function modelConfig({ model }: Pick<Experiment, 'model'>, { vocabularySize }: Tokenizer): ModelConfig {
  const wanted = model.vocab_size ?? vocabularySize;
  if (typeof wanted === 'number' && wanted >= vocabularySize) return { ...model, vocab_size: wanted };
  throw new CommandError({
    where: 'model.vocab_size',
    what: 'the vocabulary is too small for the tokenizer',
    got: String(wanted),
    expected: `${vocabularySize} or more`,
    hint: 'Leave vocab_size out.',
  });
}

async function describeRun(
  experiment: Experiment,
  { json, force }: Options,
  context: Context,
): Promise<void> {
  const { data, training, evaluation, out } = experiment;
  await refuseExisting(out, force);
  const tokenizer = await loadTokenizer(experiment.tokenizer);
  const tokensOfData = typeof data === 'string' && (await openDataset(data, { tokenizer })).index.tokens;
  const model = skeleton(modelConfig(experiment, tokenizer));
  checkContext(model, training, evaluation);
  const parameters = countParameters(model);
  const steps = stepsOf(training);
  const tokens = steps * training.sequence * training.batch * training.accumulate;
  const plan = { out, parameters, steps, tokens, ...(tokensOfData && { epochs: tokens / tokensOfData }) };
  if (json) return printJson(context, plan);
  const facts = `${formatNumber(parameters)} parameters, ${steps} steps, ${formatNumber(tokens)} tokens`;
  const epochs = plan.epochs === undefined ? '' : ` (${formatNumber(plan.epochs)} × the data)`;
  context.terminal.out(`Would write ${out}: ${facts}${epochs}\n`);
}
