import { letterOf, type MultipleChoiceItem, type PromptLanguage } from './item.js';

/** `letter`: all choices stand in the prompt and the model names one (MMLU, C-Eval). `text`: it continues the question (ARC, HellaSwag). */
export type ChoiceStyle = 'letter' | 'text';

export interface PromptStyle {
  readonly style: ChoiceStyle;
  readonly language: PromptLanguage;
}

/** What a model reads before its answer: some solved examples, and the question. */
export function multipleChoicePrompt(
  item: MultipleChoiceItem,
  examples: readonly MultipleChoiceItem[],
  { style, language }: PromptStyle,
): string {
  const solved = examples.map(
    (example) =>
      `${ask(example, style, language)}${continuationOf(example, example.answer, { style, language })}\n\n`,
  );
  return `${headerOf(item.subject, style, language)}${solved.join('')}${ask(item, style, language)}`;
}

/** What follows the prompt when a model chooses `choice`. */
export function continuationOf(
  item: MultipleChoiceItem,
  choice: number,
  { style, language }: PromptStyle,
): string {
  const text = style === 'letter' ? letterOf(choice) : item.choices[choice];
  return language === 'zh' ? text : ` ${text}`;
}

function headerOf(subject: string | undefined, style: ChoiceStyle, language: PromptLanguage): string {
  if (style === 'text') return '';
  const name = subject?.replaceAll('_', ' ');
  if (language === 'zh')
    return `以下是${name ? `关于${name}的` : ''}单项选择题，请直接给出正确答案的选项。\n\n`;
  return `The following are multiple choice questions (with answers)${name ? ` about ${name}` : ''}.\n\n`;
}

function ask(item: MultipleChoiceItem, style: ChoiceStyle, language: PromptLanguage): string {
  const zh = language === 'zh';
  if (style === 'text') return zh ? `问题：${item.question}\n答案：` : `Question: ${item.question}\nAnswer:`;
  const choices = item.choices.map((choice, i) => `${letterOf(i)}. ${choice}\n`).join('');
  return zh ? `题目：${item.question}\n${choices}答案是：` : `${item.question}\n${choices}Answer:`;
}

/** The choice that a written answer names; undefined when it names none. */
export function chosenLetter(answer: string, choices: number): number | undefined {
  const last = letterOf(choices - 1);
  const patterns = [
    // A small letter counts only where it stands alone: "the answer is a mammal" names no choice.
    new RegExp(
      `(?:[Aa]nswer|ANSWER|[Oo]ption|OPTION)\\s*(?:is|IS|:)?\\s*[*("'\\[]*([A-${last}]\\b|[a-${last.toLowerCase()}](?=\\s*(?:[).,:;*"'\\]]|$)))`,
    ),
    new RegExp(`(?:答案|选项|选择|选)\\s*(?:是|为|应为)?\\s*[:：]?\\s*[*（("'【]*([A-${last}])(?![A-Za-z])`),
    new RegExp(`^\\s*[*("'（【\\[]*([A-${last}])(?![A-Za-z'’])`),
    new RegExp(`(?<![A-Za-z])([A-${last}])[.):：、]`),
    new RegExp(`(?<![A-Za-z'’])([A-${last}])(?![A-Za-z'’])`),
  ];
  for (const pattern of patterns) {
    const letter = pattern.exec(answer)?.[1].toUpperCase();
    if (letter !== undefined) return letter.charCodeAt(0) - 65;
  }
  return undefined;
}
