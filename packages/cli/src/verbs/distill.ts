import { parseRecipe, type Recipe } from '@frugal/compress';
import { openDataset } from '@frugal/data';
import { createModel } from '@frugal/models';
import { formatDuration, formatNumber } from '@frugal/report';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { compressTo } from '../compression.js';
import { type Context, printJson } from '../context.js';
import { CommandError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import {
  checkContext,
  readPartialExperiment,
  type TrainingConfig,
  type TrainingOverrides,
} from '../training/config.js';
import { addTrainingOptions, type TrainingFlags, trainingOf } from '../training/options.js';
import { finishRun, openRunDirectory, type RunOptions } from '../training/run-directory.js';
import { batchesOf, runTraining, type TrainingRecord, trainingFacts } from '../training/run-training.js';
import { addVerb, type JsonOption, MODEL_ARGUMENT, number, type Verb } from '../verb.js';

interface Options extends BackendOptions, RunOptions, TrainingFlags, JsonOption {
  readonly teacher: string;
  readonly student: string;
  readonly data: string;
  readonly out: string;
  readonly temperature: number;
  readonly alpha: number;
}

/** The student as it comes: a model to start from, or the config of a new one. */
interface StudentSource {
  readonly training: TrainingOverrides | undefined;
  open(tokenizer: Tokenizer, seed: number, context: Context): Promise<CausalLM>;
}

export const distillVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'distill',
    summary: 'train a student to predict what a teacher predicts',
    notes:
      'The student is a model to start from, or a YAML file with model and training as in frugal pretrain --help.',
    examples: [
      'frugal distill --teacher runs/teacher --student student.yaml --data data/packed --out runs/student',
      'frugal distill --teacher runs/teacher --student runs/small --data data/packed --out runs/healed --steps 200',
    ],
  })
    .requiredOption('--teacher <MODEL>', MODEL_ARGUMENT[1])
    .requiredOption('--student <MODEL|CONFIG>', 'a model, or a YAML or JSON file')
    .requiredOption('--data <DIR>', 'made by frugal data pack, with the tokenizer of the teacher')
    .requiredOption('--out <DIR>', 'where the model goes')
    .option('--temperature <T>', 'softens both distributions', number(0.01), 1)
    .option(
      '--alpha <A>',
      "the teacher's share of the loss; the rest is the next token itself",
      number(0, 1),
      1,
    )
    .option('--resume', 'go on from the last checkpoint')
    .option('--force', 'replace the result, and forget checkpoints');
  addBackendOptions(addTrainingOptions(command)).action(async (options: Options) => {
    useBackend(options, context);
    const record = await distill(options, context);
    if (options.json) return printJson(context, { out: options.out, ...record });
    const facts = `${formatNumber(record.tokens)} tokens in ${formatDuration(record.seconds)}, loss ${record.loss?.toFixed(4)}`;
    context.terminal.out(`${options.out}: ${facts}\n`);
  });
};

/** Distils through the recipe runner, with the trainer injected, and saves the student with the teacher's tokenizer. */
async function distill(options: Options, context: Context): Promise<TrainingRecord> {
  const { data, out, force, resume } = options;
  await refuseExisting(out, force);
  const source = await studentSource(options.student);
  const training = trainingOf(options, source.training);
  const teacherPath = await modelPath(options.teacher, context);
  const tokenizer = await openTokenizer(teacherPath);
  const dataset = await openDataset(data, { tokenizer });
  const teacher = await openModel(teacherPath, context);
  const student = await source.open(tokenizer, training.seed, context);
  for (const model of [teacher, student]) checkContext(model, training);
  const run = await openRunDirectory(out, settingsOf(options, training), options);
  let record: TrainingRecord | undefined;
  await compressTo(
    out,
    student,
    distillationRecipe(options, training.seed),
    {
      teacher,
      data: batchesOf(dataset, training),
      train: async (job) => {
        record = await runTraining(
          job,
          { label: 'distill', config: training, run, resume: resume ?? false },
          context,
        );
        return { ...record };
      },
      filesFrom: teacherPath,
      force,
      manifest: () => ({
        kind: 'distill',
        sources: [
          { role: 'teacher', name: options.teacher },
          { role: 'student', name: options.student },
        ],
        data: [{ role: 'training', name: data, tokens: dataset.index.tokens }],
        training: trainingFacts(training, record),
      }),
    },
    context,
  );
  await finishRun(run);
  return record as TrainingRecord;
}

async function studentSource(named: string): Promise<StudentSource> {
  if (!/\.(ya?ml|json)$/i.test(named)) {
    const open: StudentSource['open'] = async (tokenizer, _, context) => {
      const path = await modelPath(named, context);
      await requireSameTokenizer(path, tokenizer);
      return openModel(path, context);
    };
    return { training: undefined, open };
  }
  const { model, training } = await readPartialExperiment(named);
  return {
    training,
    open: async ({ vocabularySize }, seed) => createModel({ vocab_size: vocabularySize, ...model }, { seed }),
  };
}

/** Ids must mean the same to both, or the student learns nonsense. */
async function requireSameTokenizer(student: string, teacher: Tokenizer): Promise<void> {
  const { fingerprint } = await openTokenizer(student);
  if (fingerprint === teacher.fingerprint) return;
  throw new CommandError({
    where: student,
    what: 'student and teacher have different tokenizers',
    got: fingerprint.slice(0, 12),
    expected: teacher.fingerprint.slice(0, 12),
    hint: 'Use a student that was made with the tokenizer of the teacher.',
  });
}

/** What must not change between start and resume. */
function settingsOf({ teacher, student, data, temperature, alpha }: Options, training: TrainingConfig) {
  return { teacher, student, data, temperature, alpha, training };
}

function distillationRecipe({ temperature, alpha }: Options, seed: number): Recipe {
  const modifier = { type: 'distill.logits', targets: { include: ['blocks.*'] }, temperature, alpha };
  return parseRecipe({ version: 1, seed, stages: [{ name: 'distill', modifiers: [modifier] }] });
}
