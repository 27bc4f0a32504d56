import type { Manifest } from '@frugal/checkpoint';
import { openDataset, type TokenDataset } from '@frugal/data';
import { storedLogitDistillation, universalDistillation } from '@frugal/distill';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { exists, refuseExisting } from '../files.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import type { TrainingConfig } from '../training/config.js';
import { type TrainingFlags, trainingOf } from '../training/options.js';
import { type RunOptions, requireSameSettings } from '../training/run-directory.js';
import { batchesOf, type TrainingRecord, trainingFacts } from '../training/run-training.js';
import { type Distributed, isMain, mainFirst } from '../training/team.js';
import { trainArm } from './arm.js';
import { type Comparison, compareArms, heldOutTexts } from './compare-arms.js';
import { CACHED_TOKENS, fillCache } from './fill-cache.js';
import {
  controlRecipe,
  distillationRecipe,
  type LossFlags,
  lossSettings,
  storedRecipe,
  universalRecipe,
} from './options.js';
import { distillSequences } from './sequence-level.js';
import { type StudentSource, studentSource } from './student-source.js';

/** The flags of `frugal distill`. */
export interface DistillOptions extends RunOptions, TrainingFlags, LossFlags {
  readonly teacher: string;
  readonly student?: string;
  readonly studentLayers?: readonly number[];
  readonly data: string;
  readonly out: string;
  readonly teacherCache?: string;
  readonly teacherUrl?: string;
  readonly apiKey?: string;
  readonly control?: true;
  readonly heldOut?: readonly string[];
}

/** What all arms share. */
interface Setup {
  readonly options: DistillOptions;
  readonly training: TrainingConfig;
  readonly source: StudentSource;
  /** Of a model that is here, not behind an endpoint. */
  readonly teacherPath: string;
  /** A model with the tokenizer of the student, which is that of the teacher unless the loss is `uld`. */
  readonly filesFrom: string;
  readonly tokenizer: Tokenizer;
  readonly dataset: TokenDataset;
  /** Other processes that train with this one. */
  readonly distributed: Distributed | undefined;
  readonly context: Context;
}

/** Trains the student, and a control arm where one is asked for; the main process alone compares both. */
export async function distill(
  options: DistillOptions,
  distributed: Distributed | undefined,
  context: Context,
): Promise<{ readonly record: TrainingRecord; readonly comparison?: Comparison }> {
  const { data, out, force, heldOut, teacherUrl, loss } = options;
  if (isMain(distributed)) await refuseExisting(out, force);
  if (loss === 'sequence') return { record: await distillSequences(options, distributed, context) };
  const source = await studentSource(options.student, options.studentLayers);
  const training = trainingOf(options, source.training);
  const ofStudent = Boolean(teacherUrl) || loss === 'uld';
  const filesFrom = await modelPath(ofStudent ? (options.student as string) : options.teacher, context);
  const teacherPath = loss === 'uld' ? await modelPath(options.teacher, context) : filesFrom;
  const tokenizer = await openTokenizer(filesFrom);
  const dataset = await openDataset(data, { tokenizer });
  const texts = heldOut && (await heldOutTexts(heldOut, tokenizer));
  const setup = {
    options,
    training,
    source,
    teacherPath,
    filesFrom,
    tokenizer,
    dataset,
    distributed,
    context,
  };
  const control = `${out}.control`;
  if (texts && (await isMissing(control, setup))) await trainControl(control, setup);
  const record = await (options.teacherCache === undefined
    ? trainTaught(setup)
    : trainFromCache(options.teacherCache, setup));
  if (!texts || !isMain(distributed)) return { record };
  const paths = { taught: out, alone: control };
  const window = training.sequence;
  return { record, comparison: await compareArms(paths, texts, tokenizer, { window, context }) };
}

/** The same student, the same tokens, no teacher. */
async function trainControl(out: string, setup: Setup): Promise<void> {
  const student = await openStudent(setup, null);
  const recipe = controlRecipe(setup.training.seed);
  const arm = { label: 'control', student, teacher: null, recipe, manifest: manifestFor(setup, false) };
  await trainArm({ ...commonOf(setup), ...arm, out }, setup.context);
}

async function trainTaught(setup: Setup): Promise<TrainingRecord> {
  const { options, training, tokenizer, teacherPath, context } = setup;
  const { seed } = training;
  const teacher = await openModel(teacherPath, context);
  const student = await openStudent(setup, teacher);
  const lesson =
    options.loss === 'uld'
      ? {
          recipe: universalRecipe(options, seed),
          methods: [universalDistillation({ student: tokenizer, teacher: await openTokenizer(teacherPath) })],
        }
      : { recipe: distillationRecipe(options, { student, teacher, tokenizer, seed }) };
  const arm = { label: 'distill', student, teacher, ...lesson, manifest: manifestFor(setup, true) };
  return trainArm({ ...commonOf(setup), ...arm }, context);
}

/** Asks the teacher first, where that was not done before; then it is not in memory. */
async function trainFromCache(directory: string, setup: Setup): Promise<TrainingRecord> {
  const { options, training, tokenizer, filesFrom, distributed, context } = setup;
  const { teacher: named, teacherUrl: url, apiKey, topK = CACHED_TOKENS, temperature } = options;
  const teacher = url === undefined ? { path: filesFrom } : { url, model: named, apiKey };
  const { batches } = commonOf(setup);
  const request = { directory, teacher, tokenizer, topK, temperature, training, batches };
  const cache = await mainFirst(distributed, () => fillCache(request, context));
  const student = await openStudent(setup, null);
  const recipe = storedRecipe(options, { student, tokenizer, seed: training.seed });
  const methods = [storedLogitDistillation(cache)];
  const arm = {
    label: 'distill',
    student,
    teacher: null,
    recipe,
    methods,
    manifest: manifestFor(setup, true),
  };
  return trainArm({ ...commonOf(setup), ...arm }, context);
}

/** A student that is made of the teacher borrows the one that is open, or one of its own. */
async function openStudent(setup: Setup, opened: CausalLM | null): Promise<CausalLM> {
  const { source, tokenizer, training, teacherPath, context } = setup;
  let own: CausalLM | undefined;
  const teacher = async () => {
    if (opened) return opened;
    own = await openModel(teacherPath, context);
    return own;
  };
  try {
    return await source.open({ tokenizer, seed: training.seed, teacher }, context);
  } finally {
    own?.dispose();
  }
}

/** What the arms have in common; the batches begin anew. */
function commonOf({ options, training, dataset, distributed, filesFrom }: Setup) {
  const { out, force, resume, teacherCache } = options;
  // A cache holds sequences: were they cut elsewhere in each epoch, the teacher would have to read each anew.
  const batches = batchesOf(dataset, training, { shift: teacherCache === undefined });
  const settings = settingsOf(options, training);
  const common = { out, batches, training, settings, distributed, filesFrom };
  return { ...common, ...(force && { force }), ...(resume && { resume }) };
}

/** Whether the control arm is still to be trained: only a resumed run, with the same settings, takes over a finished one. */
async function isMissing(control: string, { options, training }: Setup): Promise<boolean> {
  const { force, resume } = options;
  if (force || !(await exists(control))) return true;
  if (!resume) await refuseExisting(control, force);
  await requireSameSettings(control, settingsOf(options, training));
  return false;
}

function manifestFor({ options, training, dataset }: Setup, isTaught: boolean) {
  const { teacher, teacherUrl, student, studentLayers, data } = options;
  const layers = studentLayers && `layers ${studentLayers.join(', ')} of ${teacher}`;
  const named = teacherUrl ? `${teacher} at ${teacherUrl}` : teacher;
  return (record: TrainingRecord | undefined): Partial<Manifest> => ({
    kind: 'distill',
    sources: [
      ...(isTaught ? [{ role: 'teacher', name: named }] : []),
      { role: 'student', name: [student, layers].filter(Boolean).join(', ') },
    ],
    data: [{ role: 'training', name: data, tokens: dataset.index.tokens }],
    training: trainingFacts(training, record),
  });
}

/** What must not change between start and resume. */
function settingsOf(options: DistillOptions, training: TrainingConfig) {
  const { teacher, teacherUrl, student, studentLayers, data, teacherCache } = options;
  const isCached = teacherCache !== undefined;
  return { teacher, teacherUrl, student, studentLayers, data, isCached, ...lossSettings(options), training };
}
