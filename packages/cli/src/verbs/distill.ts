import type { Manifest } from '@frugal/checkpoint';
import type { Recipe } from '@frugal/compress';
import { openDataset, type TokenDataset } from '@frugal/data';
import { formatDuration, formatNumber } from '@frugal/report';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { compressTo } from '../compression.js';
import { type Context, printJson } from '../context.js';
import { type Comparison, compareArms, heldOutTexts } from '../distillation/compare-arms.js';
import {
  addLossOptions,
  controlRecipe,
  distillationRecipe,
  type LossFlags,
  lossSettings,
} from '../distillation/options.js';
import { type StudentSource, studentSource } from '../distillation/student-source.js';
import { UsageError } from '../errors.js';
import { exists, refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { checkContext, type TrainingConfig } from '../training/config.js';
import { addTrainingOptions, type TrainingFlags, trainingOf } from '../training/options.js';
import {
  finishRun,
  openRunDirectory,
  type RunOptions,
  requireSameSettings,
} from '../training/run-directory.js';
import { batchesOf, runTraining, type TrainingRecord, trainingFacts } from '../training/run-training.js';
import { addVerb, integerList, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, RunOptions, TrainingFlags, JsonOption, LossFlags {
  readonly teacher: string;
  readonly student?: string;
  readonly studentLayers?: readonly number[];
  readonly data: string;
  readonly out: string;
  readonly control?: true;
  readonly heldOut?: readonly string[];
}

export const distillVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'distill',
    summary: 'train a student to predict what a teacher predicts',
    notes:
      'The student is a model to start from, a YAML file with model and training as in frugal pretrain --help, or some\n' +
      "layers of the teacher; a YAML file with --student-layers begins with the teacher's weights. --control trains the\n" +
      'same student on the same tokens without a teacher first (OUT.control), and says on held-out documents, with a\n' +
      'confidence interval, what the teacher was good for.',
    examples: [
      'frugal distill --teacher runs/teacher --student student.yaml --data data/packed --out runs/student',
      'frugal distill --teacher runs/teacher --student runs/small --data data/packed --out runs/healed --steps 200',
      'frugal distill --teacher runs/teacher --student-layers 0,3,7 --loss skew-kl --data data/packed --steps 400 \\\n' +
        '    --control --held-out held-out.jsonl --out runs/student',
    ],
  })
    .requiredOption('--teacher <MODEL>', MODEL_ARGUMENT[1])
    .option('--student <MODEL|CONFIG>', 'a model, or a YAML or JSON file')
    .option('--student-layers <LIST>', 'layers of the teacher that the student begins with', integerList)
    .requiredOption('--data <DIR>', 'made by frugal data pack, with the tokenizer of the teacher')
    .requiredOption('--out <DIR>', 'where the model goes')
    .option('--control', 'measure what the teacher is good for; needs --held-out')
    .option('--held-out <FILE...>', 'documents for --control: text files, or .jsonl')
    .option('--resume', 'go on from the last checkpoint')
    .option('--force', 'replace the result, and forget checkpoints');
  addBackendOptions(addTrainingOptions(addLossOptions(command))).action(async (options: Options) => {
    if (Boolean(options.control) !== Boolean(options.heldOut))
      throw new UsageError({ where: 'distill', what: '--control and --held-out belong together' });
    useBackend(options, context);
    const { record, comparison } = await distill(options, context);
    if (options.json)
      return printJson(context, { out: options.out, ...record, ...(comparison && { control: comparison }) });
    const facts = `${formatNumber(record.tokens)} tokens in ${formatDuration(record.seconds)}, loss ${record.loss?.toFixed(4)}`;
    context.terminal.out(`${options.out}: ${facts}\n`);
    if (comparison) context.terminal.out(describe(comparison));
  });
};

/** One training of the student, with or without its teacher. */
interface Arm {
  readonly out: string;
  readonly label: string;
  readonly teacher: CausalLM | null;
  recipe(student: CausalLM): Recipe;
}

/** What both arms share. */
interface Setup {
  readonly options: Options;
  readonly training: TrainingConfig;
  readonly source: StudentSource;
  readonly teacherPath: string;
  readonly tokenizer: Tokenizer;
  readonly dataset: TokenDataset;
}

async function distill(
  options: Options,
  context: Context,
): Promise<{ readonly record: TrainingRecord; readonly comparison?: Comparison }> {
  const { data, out, force } = options;
  await refuseExisting(out, force);
  const source = await studentSource(options.student, options.studentLayers);
  const training = trainingOf(options, source.training);
  const teacherPath = await modelPath(options.teacher, context);
  const tokenizer = await openTokenizer(teacherPath);
  const dataset = await openDataset(data, { tokenizer });
  const texts = options.heldOut && (await heldOutTexts(options.heldOut, tokenizer));
  const teacher = await openModel(teacherPath, context);
  const setup = { options, training, source, teacherPath, tokenizer, dataset };
  const control = `${out}.control`;
  if (texts && (await isMissing(control, setup))) {
    const recipe = () => controlRecipe(training.seed);
    await trainArm({ out: control, label: 'control', teacher: null, recipe }, setup, teacher, context);
  }
  const recipe = (student: CausalLM) =>
    distillationRecipe(options, { student, teacher, tokenizer, seed: training.seed });
  const record = await trainArm({ out, label: 'distill', teacher, recipe }, setup, teacher, context);
  if (!texts) return { record };
  const paths = { taught: out, alone: control };
  const window = training.sequence;
  return { record, comparison: await compareArms(paths, texts, tokenizer, { window, context }) };
}

/** Whether the control arm is still to be trained: only a resumed run, with the same settings, takes over a finished one. */
async function isMissing(control: string, { options, training }: Setup): Promise<boolean> {
  const { force, resume } = options;
  if (force || !(await exists(control))) return true;
  if (!resume) await refuseExisting(control, force);
  await requireSameSettings(control, settingsOf(options, training));
  return false;
}

/** Trains through the recipe runner, with the trainer injected, and saves the student with the teacher's tokenizer. */
async function trainArm(
  arm: Arm,
  setup: Setup,
  teacher: CausalLM,
  context: Context,
): Promise<TrainingRecord> {
  const { options, training, source, teacherPath, tokenizer, dataset } = setup;
  const { force, resume = false } = options;
  const origin = { tokenizer, seed: training.seed, teacher: async () => teacher };
  const student = await source.open(origin, context);
  for (const model of [teacher, student]) checkContext(model, training);
  const run = await openRunDirectory(arm.out, settingsOf(options, training), { force, resume });
  let record: TrainingRecord | undefined;
  await compressTo(
    arm.out,
    student,
    arm.recipe(student),
    {
      ...(arm.teacher && { teacher: arm.teacher }),
      data: batchesOf(dataset, training),
      train: async (job) => {
        record = await runTraining(job, { label: arm.label, config: training, run, resume }, context);
        return { ...record };
      },
      filesFrom: teacherPath,
      force,
      manifest: () => manifestOf(arm, setup, record),
    },
    context,
  );
  await finishRun(run);
  student.dispose();
  return record as TrainingRecord;
}

function manifestOf(
  arm: Arm,
  { options, training, dataset }: Setup,
  record: TrainingRecord | undefined,
): Partial<Manifest> {
  const { teacher, student, studentLayers, data } = options;
  const layers = studentLayers && `layers ${studentLayers.join(', ')} of ${teacher}`;
  return {
    kind: 'distill',
    sources: [
      ...(arm.teacher ? [{ role: 'teacher', name: teacher }] : []),
      { role: 'student', name: [student, layers].filter(Boolean).join(', ') },
    ],
    data: [{ role: 'training', name: data, tokens: dataset.index.tokens }],
    training: trainingFacts(training, record),
  };
}

/** What must not change between start and resume. */
function settingsOf(options: Options, training: TrainingConfig) {
  const { teacher, student, studentLayers, data } = options;
  return { teacher, student, studentLayers, data, ...lossSettings(options), training };
}

function describe({ taught, alone, gain }: Comparison): string {
  const { difference, low, high, confidence, documents } = gain;
  const interval = `${low.toFixed(4)} to ${high.toFixed(4)}`;
  const verdict = low > 0 ? 'the teacher helped' : high < 0 ? 'the teacher harmed' : 'no difference is shown';
  return (
    `held out: ${taught.toFixed(4)} bits per byte, ${alone.toFixed(4)} without the teacher\n` +
    `gain ${difference.toFixed(4)}, ${Math.round(confidence * 100)} % interval ${interval} over ${documents} documents: ${verdict}\n`
  );
}
