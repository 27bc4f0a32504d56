import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { readDocuments } from '@frugal/data';
import {
  type GenerationItem,
  type ItemFormat,
  type MultipleChoiceItem,
  readGeneration,
  readMultipleChoice,
  type Task,
} from '@frugal/eval';
import { z } from 'zod';
import { CommandError } from '../errors.js';
import { readTextFile } from '../files.js';
import { readSettingsFile } from '../settings.js';

const HINT = 'frugal eval --help shows an example.';

const files = z.union([z.string(), z.array(z.string()).min(1)]).transform((value) => [value].flat());
const named = { name: z.string().min(1), files };

const multipleChoice = z.strictObject({
  ...named,
  type: z.literal('multiple-choice'),
  /** Solved examples, in the same layout. */
  examples: files.optional(),
  shots: z.number().int().nonnegative().optional(),
  style: z.enum(['letter', 'text']).optional(),
  language: z.enum(['en', 'zh']).optional(),
  answer: z.enum(['likelihood', 'generation']).optional(),
});

const generation = z.strictObject({
  ...named,
  type: z.literal('generation'),
  match: z.enum(['exact', 'contains', 'regex', 'json', 'number']).optional(),
});

const text = z.strictObject({
  ...named,
  type: z.literal('text'),
  context: z.number().int().min(2).optional(),
});

const taskFileSchema = z.strictObject({
  tasks: z.array(z.discriminatedUnion('type', [multipleChoice, generation, text])).min(1),
});

export interface TaskOverrides {
  readonly shots?: number | undefined;
  /** Items of each task at most. */
  readonly limit?: number | undefined;
}

/**
 * The tasks that `--tasks` names: a YAML or JSON file, one file of items, or a folder in C-Eval's layout (val or test beside
 * dev) or of files of items.
 * @throws CommandError or TaskError for what cannot be read
 */
export async function readTasks(source: string, overrides: TaskOverrides): Promise<Task[]> {
  const found = await stat(source).catch(() => null);
  if (!found) throw new CommandError({ where: source, what: 'there is no such file or folder' });
  if (found.isDirectory()) return [limited(await folderTask(source), overrides)];
  if (!/\.(ya?ml|json)$/i.test(source)) return [limited(await itemTask(source), overrides)];
  const parsed = taskFileSchema.safeParse(await readSettingsFile(source, HINT));
  if (!parsed.success) {
    throw new CommandError({
      where: source,
      what: `the tasks are wrong: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
      hint: HINT,
    });
  }
  const names = parsed.data.tasks.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new CommandError({ where: source, what: 'two tasks have one name', got: twice });
  const place = (file: string) => relative('.', resolve(dirname(source), file));
  const tasks: Task[] = [];
  for (const task of parsed.data.tasks) tasks.push(limited(await taskOf(task, place), overrides));
  return tasks;
}

type TaskSpec = z.infer<typeof taskFileSchema>['tasks'][number];

async function taskOf(spec: TaskSpec, place: (file: string) => string): Promise<Task> {
  const paths = spec.files.map(place);
  if (spec.type === 'text') {
    const texts: string[] = [];
    for await (const document of readDocuments(paths)) texts.push(document.text);
    return { type: 'text', name: spec.name, texts, context: spec.context };
  }
  if (spec.type === 'generation') {
    const items: GenerationItem[] = [];
    for (const path of paths) {
      const options = { format: formatOf(path), where: path, match: spec.match };
      for (const item of readGeneration(await readTextFile(path), options)) items.push(item);
    }
    return { type: 'generation', name: spec.name, items };
  }
  const { files: _, examples, ...options } = spec;
  return {
    ...options,
    items: await multipleChoiceItems(paths),
    ...(examples && { examples: await multipleChoiceItems(examples.map(place)) }),
  };
}

async function multipleChoiceItems(paths: readonly string[]): Promise<MultipleChoiceItem[]> {
  const items: MultipleChoiceItem[] = [];
  for (const path of paths) {
    const options = { format: formatOf(path), where: path, subject: subjectOf(path) };
    // One by one: a call cannot have as many arguments as a large set has items.
    for (const item of readMultipleChoice(await readTextFile(path), options)) items.push(item);
  }
  return items;
}

/** A file of items is multiple choice, or generation where its items have no choices. */
async function itemTask(path: string): Promise<Task> {
  const content = await readTextFile(path);
  const format = formatOf(path);
  const name = basename(path, extname(path));
  const hasChoices =
    format === 'csv'
      ? /(^|,)\s*"?B"?\s*,|^[^\n]*,[^\n]*,[^\n]*,[A-Z]\s*$/m.test(content)
      : /"(choices|options)"\s*:/.test(content);
  if (hasChoices)
    return { type: 'multiple-choice', name, items: readMultipleChoice(content, { format, where: path }) };
  return { type: 'generation', name, items: readGeneration(content, { format, where: path }) };
}

async function folderTask(folder: string): Promise<Task> {
  const inFolder = async (name: string) =>
    (await readdir(join(folder, name)).catch(() => []))
      .filter((file) => /\.(csv|jsonl)$/i.test(file))
      .sort()
      .map((file) => join(folder, name, file));
  const asked = [await inFolder('val'), await inFolder('test'), await inFolder('.')].find(
    ({ length }) => length > 0,
  );
  if (!asked) {
    throw new CommandError({
      where: folder,
      what: 'the folder holds no items',
      expected: '*.csv or *.jsonl in it, or in its folders val, test and dev',
    });
  }
  const examples = await inFolder('dev');
  return {
    type: 'multiple-choice',
    name: basename(resolve(folder)),
    items: await multipleChoiceItems(asked),
    examples: await multipleChoiceItems(examples),
  };
}

/** `high_school_physics_val.csv` → `high_school_physics`. */
function subjectOf(path: string): string {
  return basename(path, extname(path)).replace(/_(val|test|dev)$/, '');
}

function formatOf(path: string): ItemFormat {
  const extension = extname(path).toLowerCase();
  if (extension === '.csv' || extension === '.jsonl') return extension.slice(1) as ItemFormat;
  throw new CommandError({
    where: path,
    what: 'items of an unknown kind',
    got: extension,
    expected: '.csv or .jsonl',
  });
}

/** @throws CommandError for solved examples that are wanted and not there: the task would be another one than it says */
function limited(task: Task, overrides: TaskOverrides): Task {
  if (task.type === 'text') return task;
  const items = task.items.slice(0, overrides.limit);
  if (task.type === 'generation') return { ...task, items: items as GenerationItem[] };
  const { shots = task.shots ?? 0 } = overrides;
  if (shots > 0 && !task.examples?.length)
    throw new CommandError({
      where: task.name,
      what: 'the task has no solved examples to show',
      got: `${shots} shots`,
      expected: 'examples in a folder dev beside val or test, or examples: FILE in a file of tasks',
      hint: 'Add them, or leave shots out.',
    });
  return { ...task, items: items as MultipleChoiceItem[], shots };
}
