import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import {
  compareOutputs,
  compareResults,
  type Divergence,
  type EvaluationReport,
  type Examinee,
  evaluationPage,
  runTask,
  type Task,
  type TaskResult,
} from '@frugal/eval';
import { renderTable } from '@frugal/report';
import { chatTemplate } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { weightsHash } from '../checkpoint.js';
import { type Context, printJson } from '../context.js';
import { readTasks } from '../evaluation/read-tasks.js';
import { TaskStore } from '../evaluation/task-store.js';
import { refuseExisting } from '../files.js';
import { continueText } from '../generation.js';
import { modelPath, openSpeaker } from '../model.js';
import { PRECISE_OPTION } from '../precise.js';
import { withProgress } from '../progress.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, JsonOption {
  readonly tasks: string;
  readonly against?: string;
  readonly limit?: number;
  readonly shots?: number;
  readonly maxTokens: number;
  readonly chat: boolean;
  readonly precise?: true;
  readonly out?: string;
  readonly resume?: true;
  readonly force?: true;
}

export const evalVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'eval',
    summary: 'how well a model does tasks, alone or item by item beside another one',
    notes: `FILE is one file of items (.csv as C-Eval, CMMLU and MMLU write it, .jsonl), a folder of them (items in val or test,
examples in dev), or YAML:

  tasks:
    - { name: physics, type: multiple-choice, files: [physics_val.csv], examples: [physics_dev.csv], shots: 5 }
    - { name: sums, type: generation, files: sums.jsonl, match: number }
    - { name: held-out, type: text, files: held-out.txt, context: 512 }

Choices are scored by likelihood: the letter (style: letter) or the choice itself (style: text); answer: generation lets the
model write. Models that were not trained on these prompts do better with style: text.`,
    examples: [
      'frugal eval runs/student --tasks ceval/',
      'frugal eval runs/int4 --against runs/dense --tasks tasks.yaml --out runs/int4-report',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--tasks <FILE|DIR>', 'what to ask')
    .option('--against <MODEL>', 'the reference: answers are compared item by item')
    .option('--limit <N>', 'items of each task at most', integer(1))
    .option('--shots <N>', 'solved examples before each question', integer())
    .option('--max-tokens <N>', 'of an answer that is written', integer(1), 64)
    .option('--no-chat', 'prompts of written answers as plain text, not in the chat template')
    .option('--out <DIR>', 'writes results.json and report.html, and keeps finished tasks')
    .option('--resume', 'keep what is finished in --out')
    .option('--force', 'replace what is in --out')
    .option(...PRECISE_OPTION);
  addBackendOptions(command).action(async (source: string, options: Options) => {
    const tasks = await readTasks(options.tasks, options);
    if (options.out !== undefined && !options.resume) {
      await refuseExisting(options.out, options.force);
      await rm(join(options.out, 'tasks'), { recursive: true, force: true });
    }
    useBackend(options, context);
    const report = await evaluate(source, tasks, options, context);
    if (options.out !== undefined) {
      await saveFile(join(options.out, 'results.json'), `${JSON.stringify(report, null, 1)}\n`);
      await saveFile(join(options.out, 'report.html'), evaluationPage(report));
    }
    if (options.json) printJson(context, report);
    else context.terminal.out(describe(report));
  });
};

async function evaluate(
  source: string,
  tasks: readonly Task[],
  options: Options,
  context: Context,
): Promise<EvaluationReport> {
  const candidate = await examine(source, tasks, options, context);
  const { against } = options;
  if (against === undefined) return { model: source, tasks: candidate.results };
  const reference = await examine(against, tasks, options, context);
  const comparisons = reference.results.map((result, i) => compareResults(result, candidate.results[i]));
  const divergence = await divergenceOf(reference.examinee, candidate.examinee, tasks, context);
  return {
    model: source,
    tasks: candidate.results,
    against: { model: against, tasks: reference.results, comparisons, divergence },
  };
}

async function examine(source: string, tasks: readonly Task[], options: Options, context: Context) {
  const path = await modelPath(source, context);
  const { model, tokenizer } = await openSpeaker(path, context, options);
  const { maxTokens, chat } = options;
  const template = chatTemplate(tokenizer);
  const encode = (prompt: string) =>
    chat && !template.isDefault
      ? template.encode([{ role: 'user', content: prompt }], { addGenerationPrompt: true })
      : tokenizer.encode(prompt);
  const answer = async (prompt: string) => {
    const ids = encode(prompt);
    const limit = Math.min(maxTokens, model.contextLength - ids.length);
    return (await continueText({ model, tokenizer }, ids, { temperature: 0, maxTokens: limit }, context))
      .text;
  };
  const examinee: Examinee = { model, tokenizer, answer };
  const store = new TaskStore(options.out);
  const settings = JSON.stringify({ maxTokens, chat, precise: options.precise });
  const version = options.out === undefined ? '' : `${await weightsHash(path)} ${settings}`;
  const results: TaskResult[] = [];
  for (const task of tasks) {
    const label = `${task.name}: ${source}`;
    const work = () =>
      withProgress(context, label, (update) =>
        runTask(examinee, task, {
          signal: context.signal,
          onProgress: ({ done, total }) => update(done, total),
        }),
      );
    results.push(await store.once(version, task, work));
  }
  return { examinee, results };
}

/** Questions that stand for the tasks where they have no running text. */
const QUESTIONS = 200;

/** Over the texts of the tasks, or else their questions; null where the vocabularies differ. */
async function divergenceOf(
  reference: Examinee,
  candidate: Examinee,
  tasks: readonly Task[],
  context: Context,
): Promise<Divergence | null> {
  if (reference.tokenizer.fingerprint !== candidate.tokenizer.fingerprint) return null;
  if (reference.model.vocabularySize !== candidate.model.vocabularySize) return null;
  const running = tasks.flatMap((task) => (task.type === 'text' ? task.texts : []));
  const questions = tasks.flatMap((task) => {
    if (task.type === 'text') return [];
    return task.items.map((item) => ('question' in item ? item.question : item.prompt));
  });
  const texts = running.length > 0 ? running : [questions.slice(0, QUESTIONS).join('\n\n')];
  return withProgress(context, 'Comparing distributions', (update) =>
    compareOutputs(reference.model, candidate.model, reference.tokenizer, texts, {
      signal: context.signal,
      onProgress: ({ done, total }) => update(done, total),
    }),
  );
}

function describe({ tasks, against }: EvaluationReport): string {
  const columns = [
    { title: 'task' },
    { title: 'items' },
    { title: 'accuracy', decimals: 3 },
    { title: 'from', decimals: 3 },
    { title: 'to', decimals: 3 },
    { title: 'per byte', decimals: 3 },
    { title: 'perplexity', decimals: 3 },
    { title: 'bits/byte', decimals: 4 },
  ];
  const rows = tasks.map(({ name, accuracy, accuracyPerByte, perplexity }) => [
    name,
    accuracy?.items ?? null,
    accuracy?.accuracy ?? null,
    ...(accuracy?.interval ?? [null, null]),
    accuracyPerByte?.accuracy ?? null,
    perplexity?.perplexity ?? null,
    perplexity?.bitsPerByte ?? null,
  ]);
  const filled = columns.map((_, column) => rows.some((row) => row[column] !== null));
  const only = <T>(cells: readonly T[]) => cells.filter((_, column) => filled[column]);
  return `${renderTable(only(columns), rows.map(only))}\n${against ? describePair(against) : ''}`;
}

function describePair({ model, comparisons, divergence }: NonNullable<EvaluationReport['against']>): string {
  const lines = comparisons.map(({ name, accuracy, bitsPerByteRatio }) => {
    if (!accuracy) return `${name}: ${(100 * ((bitsPerByteRatio ?? 1) - 1)).toFixed(2)} % bits per byte`;
    const [low, high] = accuracy.interval;
    return (
      `${name}: ${signed(accuracy.difference)} (95 % interval ${signed(low)} to ${signed(high)}), ` +
      `${accuracy.gained} gained, ${accuracy.lost} lost, McNemar p = ${accuracy.pValue.toFixed(3)}`
    );
  });
  if (divergence) {
    lines.push(
      `output distributions: KL ${divergence.kl.toFixed(5)} nats, same most likely token at ${(100 * divergence.sameTop).toFixed(2)} % of ${divergence.positions} positions`,
    );
  }
  return `\nbeside ${model}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

const signed = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(3)}`;
