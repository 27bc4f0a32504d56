/** A question with answers to choose from. */
export interface MultipleChoiceItem {
  readonly id: string;
  readonly question: string;
  readonly choices: readonly string[];
  /** Index of the right choice. */
  readonly answer: number;
  readonly subject?: string | undefined;
}

/** How an answer is compared with what was expected. */
export type Match = 'exact' | 'contains' | 'regex' | 'json' | 'number';

/** A question with an answer to write. */
export interface GenerationItem {
  readonly id: string;
  readonly prompt: string;
  /** Any of these is right: texts, patterns for `regex`, documents for `json`. */
  readonly expected: readonly string[];
  readonly match: Match;
  readonly subject?: string | undefined;
}

/** The language of prompts around questions. */
export type PromptLanguage = 'en' | 'zh';

/** Chinese when a fifth of the letters of the questions are Han. */
export function languageOf(questions: readonly string[]): PromptLanguage {
  const text = questions.slice(0, 100).join('');
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  const letters = text.match(/\p{Letter}/gu)?.length ?? 0;
  return han > letters / 5 ? 'zh' : 'en';
}

/** `A`, `B`, … of a choice. */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

/** Choices that letters can name. */
export const MAX_CHOICES = 26;
