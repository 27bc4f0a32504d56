import {
  type GenerationItem,
  languageOf,
  letterOf,
  type MultipleChoiceItem,
  type PromptLanguage,
} from './item.js';
import { matchesAnswer } from './match-answer.js';
import { examplesFor, hashOf, type MultipleChoiceOptions } from './multiple-choice.js';
import { chosenLetter, multipleChoicePrompt } from './multiple-choice-prompt.js';

/** Writes the answer to a prompt: a model of this process, or one behind an endpoint. */
export type Answerer = (prompt: string) => Promise<string>;

export interface AnsweringOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** What a model wrote for one item. */
export interface WrittenResult {
  readonly id: string;
  readonly subject?: string | undefined;
  readonly text: string;
  readonly correct: boolean;
  /** Of multiple choice: the choice that the text names; null when it names none. */
  readonly chosen?: number | null | undefined;
  readonly promptHash: string;
}

/** Lets a model write its choice; an answer that names no choice is wrong. */
export async function chooseByGeneration(
  answer: Answerer,
  items: readonly MultipleChoiceItem[],
  options: AnsweringOptions &
    Pick<MultipleChoiceOptions, 'shots' | 'examples'> & {
      readonly language?: PromptLanguage | undefined;
    } = {},
): Promise<WrittenResult[]> {
  const language = options.language ?? languageOf(items.map(({ question }) => question));
  return answerAll(items, options, async (item) => {
    const prompt = multipleChoicePrompt(item, examplesFor(item, options), { style: 'letter', language });
    const text = await answer(prompt);
    const chosen = chosenLetter(text, item.choices.length) ?? null;
    return {
      text,
      correct: chosen === item.answer,
      chosen,
      promptHash: hashOf([prompt, letterOf(item.choices.length - 1)]),
    };
  });
}

/** Lets a model write answers, and compares them as each item says. */
export async function answerItems(
  answer: Answerer,
  items: readonly GenerationItem[],
  options: AnsweringOptions = {},
): Promise<WrittenResult[]> {
  return answerAll(items, options, async (item) => {
    const text = await answer(item.prompt);
    return { text, correct: matchesAnswer(text, item), promptHash: hashOf([item.prompt]) };
  });
}

async function answerAll<Item extends { readonly id: string; readonly subject?: string | undefined }>(
  items: readonly Item[],
  { signal, onProgress }: AnsweringOptions,
  work: (item: Item) => Promise<Omit<WrittenResult, 'id' | 'subject'>>,
): Promise<WrittenResult[]> {
  const results: WrittenResult[] = [];
  for (const item of items) {
    signal?.throwIfAborted();
    const { id, subject } = item;
    results.push({ id, ...(subject !== undefined && { subject }), ...(await work(item)) });
    onProgress?.({ done: results.length, total: items.length });
  }
  return results;
}
