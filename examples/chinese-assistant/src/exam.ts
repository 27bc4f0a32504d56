import { textFraction } from '@frugal/data';
import { type MultipleChoiceItem, readMultipleChoice } from '@frugal/eval';
import { type Idiom, questionAbout } from './idioms.js';

/**
 * Questions after the meaning of idioms in C-Eval's layout (`id,question,A,B,C,D,answer`): the wrong choices are explanations of
 * the three idioms that come next.
 */
export function examOf(idioms: readonly Idiom[]): string {
  const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
  const lines = idioms.map(({ word, explanation }, i) => {
    const others = [1, 2, 3].map((step) => idioms[(i + step) % idioms.length].explanation);
    const right = Math.floor(4 * textFraction(word));
    const choices = [...others.slice(0, right), explanation, ...others.slice(right)];
    return [String(i), questionAbout(word), ...choices, 'ABCD'[right]].map(quoted).join(',');
  });
  return ['id,question,A,B,C,D,answer', ...lines, ''].join('\n');
}

/** Reads it as any other file of C-Eval. */
export function readExam(csv: string): MultipleChoiceItem[] {
  return readMultipleChoice(csv, { format: 'csv', subject: '成语' });
}
