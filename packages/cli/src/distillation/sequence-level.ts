import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChatExample, chatExample, readRecords, readTuningData, saveJsonLines } from '@frugal/data';
import { type Question, teacherAnswers } from '@frugal/distill';
import { saveModel, unpackModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type ChatMessage, chatTemplate } from '@frugal/tokenizers';
import { sourceFiles, withCheckpoint } from '../checkpoint.js';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { exists } from '../files.js';
import { modelPath, openModel, openSpeaker, openTokenizer } from '../model.js';
import { withProgress } from '../progress.js';
import { checkContext } from '../training/config.js';
import { trainingOf } from '../training/options.js';
import { finishRun, openRunDirectory, type RunDirectory, runDirectoryOf } from '../training/run-directory.js';
import {
  languageModelJob,
  runTraining,
  type TrainingRecord,
  trainingFacts,
} from '../training/run-training.js';
import { type Distributed, isMain, mainFirst } from '../training/team.js';
import { chatSet } from '../training/tuning-batches.js';
import { version } from '../version.js';
import type { DistillOptions } from './distill.js';
import { lossSettings } from './options.js';
import { isConfigFile, studentSource } from './student-source.js';

/** Tokens of an answer at most, unless the user says otherwise. */
const ANSWER = 256;

/**
 * Sequence-level distillation (Kim & Rush 2016, arXiv:1606.07947): the teacher answers questions, cut-off answers are tried
 * again, and the student learns what is left as from any examples. Only text passes, so that tokenizers may differ.
 */
export async function distillSequences(
  options: DistillOptions,
  distributed: Distributed | undefined,
  context: Context,
): Promise<TrainingRecord> {
  const { out, student: named, data, force = false, resume = false } = options;
  const source = await studentSource(named, options.studentLayers);
  const training = trainingOf(options, source.training);
  const teacherPath = await modelPath(options.teacher, context);
  const filesFrom =
    named === undefined || isConfigFile(named) ? teacherPath : await modelPath(named, context);
  const tokenizer = await openTokenizer(filesFrom);
  const questions = await readQuestions(data);
  const { teacher: teacherName, studentLayers } = options;
  const settings = {
    teacher: teacherName,
    student: named,
    studentLayers,
    data,
    ...lossSettings(options),
    training,
  };
  const run = isMain(distributed)
    ? await openRunDirectory(out, settings, { ...(force && { force }), resume })
    : runDirectoryOf(out);
  const file = join(run.checkpoints, 'answers.jsonl');
  await mainFirst(distributed, async () => {
    if (await exists(file)) return;
    await writeAnswers(file, teacherPath, questions, { ...options, seed: training.seed }, context);
  });
  const examples: ChatExample[] = [];
  for await (const record of readRecords(file)) examples.push(chatExample(record));
  const set = chatSet(examples, tokenizer, training.sequence, 'the answers of the teacher');
  const student = await openStudent();
  checkContext(student, training);
  unpackModel(student);
  const record = await runTraining(
    { ...languageModelJob(student, training), batches: set.batches(training) },
    { label: 'distill', config: training, run: withinRun(run), resume, distributed },
    context,
  );
  if (!isMain(distributed)) return record;
  await saveModel(student, out, {
    ...(await withCheckpoint(filesFrom, sourceFiles)),
    manifest: {
      version: 1,
      createdBy: `frugal ${version}`,
      kind: 'distill',
      seed: training.seed,
      sources: [
        { role: 'teacher', name: teacherName },
        { role: 'student', name: named ?? `layers ${studentLayers?.join(', ')} of ${teacherName}` },
      ],
      data: [{ role: 'questions', name: data, tokens: set.tokens }],
      training: { ...trainingFacts(training, record), questions: questions.length, answers: examples.length },
    },
    force,
  });
  await rename(file, join(`${out}.training`, 'answers.jsonl'));
  await finishRun(run);
  student.dispose();
  return record;

  async function openStudent(): Promise<CausalLM> {
    if (filesFrom !== teacherPath) return openModel(filesFrom, context);
    let opened: CausalLM | undefined;
    const teacher = async () => {
      opened ??= await openModel(teacherPath, context);
      return opened;
    };
    try {
      return await source.open({ tokenizer, seed: training.seed, teacher }, context);
    } finally {
      opened?.dispose();
    }
  }
}

/** Checkpoints of the trainer beside the answers. */
function withinRun(run: RunDirectory): RunDirectory {
  return { ...run, checkpoints: join(run.checkpoints, 'training') };
}

/** Conversations up to their last answer; texts are questions as they are. */
async function readQuestions(file: string): Promise<readonly (readonly ChatMessage[])[]> {
  const data = await readTuningData([file]);
  if (data.kind === 'text') return data.documents.map(({ text }) => [{ role: 'user', content: text }]);
  return data.examples.map(({ messages }) =>
    messages.slice(
      0,
      messages.findLastIndex(({ role }) => role === 'assistant'),
    ),
  );
}

/** Writes a file of conversations that end with an answer of the teacher; it appears whole. */
async function writeAnswers(
  file: string,
  teacherPath: string,
  asked: readonly (readonly ChatMessage[])[],
  {
    maxTokens = ANSWER,
    attempts = 4,
    temperature,
    seed,
  }: Pick<DistillOptions, 'maxTokens' | 'attempts' | 'temperature'> & { seed: number },
  context: Context,
): Promise<void> {
  const { model, tokenizer } = await openSpeaker(teacherPath, context);
  try {
    const template = chatTemplate(tokenizer);
    const questions = asked.map((messages): Question => {
      const prompt = template.encode(messages, { addGenerationPrompt: true });
      if (prompt.length + maxTokens <= model.contextLength) return { prompt };
      throw new CommandError({
        where: '--max-tokens',
        what: 'question and answer do not fit into the context of the teacher',
        got: `${prompt.length} + ${maxTokens} tokens`,
        expected: `at most ${model.contextLength}`,
        hint: 'Lower it, or leave long questions out.',
      });
    });
    const { signal } = context;
    const options = { maxTokens, attempts, temperature, seed, stopIds: tokenizer.eosIds, signal };
    await mkdir(join(file, '..'), { recursive: true });
    await withProgress(context, 'Answering', (update) =>
      saveJsonLines(file, async (write) => {
        let count = 0;
        for await (const { question, answer } of teacherAnswers(model, questions, options)) {
          const content = tokenizer.decode(answer, { skipSpecialTokens: true }).trim();
          if (content === '') continue;
          await write({ messages: [...asked[question], { role: 'assistant', content }] });
          update(++count, questions.length);
        }
        if (count > 0) return;
        throw new CommandError({
          where: teacherPath,
          what: 'the teacher ended no answer',
          got: `${questions.length} questions, ${attempts} attempts each`,
          hint: 'Raise --max-tokens, or take a teacher that was trained on conversations.',
        });
      }),
    );
  } finally {
    model.dispose();
  }
}
