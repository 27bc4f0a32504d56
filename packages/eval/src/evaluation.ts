import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { TaskError } from './errors.js';
import { type Perplexity, perplexity } from './perplexity.js';
import {
  type Accuracy,
  accuracyOf,
  comparePaired,
  type Judged,
  type PairedAccuracy,
} from './statistics/accuracy.js';
import {
  type Answerer,
  type AnsweringOptions,
  answerItems,
  chooseByGeneration,
  type WrittenResult,
} from './tasks/generated-answers.js';
import type { GenerationItem, MultipleChoiceItem } from './tasks/item.js';
import {
  type ChoiceResult,
  chooseByLikelihood,
  type MultipleChoiceOptions,
} from './tasks/multiple-choice.js';

export interface MultipleChoiceTask
  extends Pick<MultipleChoiceOptions, 'style' | 'language' | 'shots' | 'examples'> {
  readonly type: 'multiple-choice';
  readonly name: string;
  readonly items: readonly MultipleChoiceItem[];
  /** Whether the most likely choice counts, or what the model writes. Default `likelihood`. */
  readonly answer?: 'likelihood' | 'generation' | undefined;
}

export interface GenerationTask {
  readonly type: 'generation';
  readonly name: string;
  readonly items: readonly GenerationItem[];
}

export interface TextTask {
  readonly type: 'text';
  readonly name: string;
  readonly texts: readonly string[];
  readonly context?: number | undefined;
}

export type Task = MultipleChoiceTask | GenerationTask | TextTask;

/** A model that is examined. */
export interface Examinee {
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  /** Writes answers; needed by tasks that are answered by generation. */
  readonly answer?: Answerer | undefined;
}

export interface TaskResult {
  readonly name: string;
  readonly type: Task['type'];
  readonly accuracy?: Accuracy | undefined;
  /** Multiple choice by likelihood: of the choice that is most likely per byte. */
  readonly accuracyPerByte?: Accuracy | undefined;
  readonly perplexity?: Perplexity | undefined;
  readonly items: readonly (ChoiceResult | WrittenResult)[];
}

/** @throws TaskError when a task needs written answers and the examinee cannot write */
export async function runTask(
  { model, tokenizer, answer }: Examinee,
  task: Task,
  options: AnsweringOptions = {},
): Promise<TaskResult> {
  const { name, type } = task;
  if (task.type === 'text') {
    const { texts, context } = task;
    return {
      name,
      type,
      perplexity: await perplexity(model, tokenizer, texts, { ...options, context }),
      items: [],
    };
  }
  if (task.type === 'multiple-choice' && task.answer !== 'generation') {
    const items = await chooseByLikelihood(model, tokenizer, task.items, { ...task, ...options });
    const perByte = items.map((item) => ({ ...item, correct: item.chosenPerByte === item.answer }));
    return { name, type, accuracy: accuracyOf(judged(items)), accuracyPerByte: accuracyOf(perByte), items };
  }
  if (!answer) throw new TaskError({ where: name, what: 'the task needs a model that writes answers' });
  const items =
    task.type === 'generation'
      ? await answerItems(answer, task.items, options)
      : await chooseByGeneration(answer, task.items, { ...task, ...options });
  return { name, type, accuracy: accuracyOf(items), items };
}

/** A reference (dense) and a candidate (compressed) model on one task. */
export interface TaskComparison {
  readonly name: string;
  readonly accuracy?: PairedAccuracy | undefined;
  /** candidate / reference of perplexity and of bits per byte. */
  readonly perplexityRatio?: number | undefined;
  readonly bitsPerByteRatio?: number | undefined;
}

/** @throws TaskError when both were not asked the same */
export function compareResults(reference: TaskResult, candidate: TaskResult): TaskComparison {
  const { name } = reference;
  if (reference.perplexity && candidate.perplexity) {
    return {
      name,
      perplexityRatio: candidate.perplexity.perplexity / reference.perplexity.perplexity,
      bitsPerByteRatio: candidate.perplexity.bitsPerByte / reference.perplexity.bitsPerByte,
    };
  }
  const differs = reference.items.findIndex(
    ({ promptHash }, i) => promptHash !== candidate.items[i]?.promptHash,
  );
  if (differs >= 0 || reference.items.length !== candidate.items.length) {
    throw new TaskError({
      where: name,
      what: 'the models were not asked the same',
      got: `another prompt for item ${reference.items[differs]?.id ?? candidate.items.length}`,
      hint: 'Their contexts may hold different numbers of examples: lower the shots.',
    });
  }
  return { name, accuracy: comparePaired(judged(reference.items), judged(candidate.items)) };
}

function judged(items: readonly (ChoiceResult | WrittenResult)[]): Judged[] {
  return items.map((item) => {
    const { id, subject } = item;
    const correct = 'correct' in item ? item.correct : item.chosen === item.answer;
    return { id, correct, ...(subject !== undefined && { subject }) };
  });
}
