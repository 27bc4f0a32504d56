import { isDeepStrictEqual } from 'node:util';
import type { GenerationItem, Match } from './item.js';

/** Whether a written answer is what was expected. */
export function matchesAnswer(
  answer: string,
  { expected, match }: Pick<GenerationItem, 'expected' | 'match'>,
): boolean {
  return expected.some((wanted) => MATCHERS[match](answer, wanted));
}

const MATCHERS: Readonly<Record<Match, (answer: string, wanted: string) => boolean>> = {
  exact: (answer, wanted) => normalize(answer) === normalize(wanted),
  contains: (answer, wanted) => normalize(answer).includes(normalize(wanted)),
  regex: (answer, wanted) => new RegExp(wanted, 'u').test(answer),
  json: (answer, wanted) => isDeepStrictEqual(jsonIn(answer), JSON.parse(wanted)),
  number: (answer, wanted) => lastNumber(answer) !== undefined && lastNumber(answer) === lastNumber(wanted),
};

/** SQuAD's: without capitals, punctuation and articles; width variants made equal. Signs and points of numbers stay, and what is signs alone. */
export function normalize(text: string): string {
  const plain = text.normalize('NFKC').toLowerCase().trim();
  const words = plain
    .replace(/(?!-(?=\d)|(?<=\d)\.(?=\d))[\p{Punctuation}\p{Symbol}]/gu, ' ')
    .replace(/\b(a|an|the)\b/g, ' ')
    .replace(/\s+/gu, ' ')
    .trim();
  return words || plain;
}

/**
 * GSM8K's: the last number of a text; commas between thousands do not count. A minus (also U+2212) behind
 * a digit or a Latin letter is a dash or an operator, no sign; `.5` and `1e-3` are numbers.
 */
export function lastNumber(text: string): number | undefined {
  const found = text
    .normalize('NFKC')
    .replaceAll('\u2212', '-')
    .match(/(?:(?<![A-Za-z\d)])-)?(?:(?<![A-Za-z\d.])\.\d+|\d[\d,]*(?:\.\d+)?)(?:[eE][+-]?\d+\b)?/g)
    ?.at(-1);
  return found === undefined ? undefined : Number(found.replaceAll(',', ''));
}

/** Why nothing could be right that is compared with this text in this way; undefined where something could. */
export function flawOf(wanted: string, match: Match): string | undefined {
  if (match === 'number' && lastNumber(wanted) === undefined) return 'no number';
  if ((match === 'contains' || match === 'regex') && wanted.trim() === '')
    return 'nothing, which every answer contains';
  try {
    if (match === 'json') JSON.parse(wanted);
    if (match === 'regex') new RegExp(wanted, 'u');
  } catch (cause) {
    return (cause as Error).message;
  }
  return undefined;
}

/** The JSON document in an answer, with or without fences and words around it. */
export function jsonIn(answer: string): unknown {
  const fenced = /```(?:json)?\s*([\s\S]*?)```/.exec(answer)?.[1];
  for (const text of [
    fenced,
    answer,
    answer.slice(answer.search(/[[{]/), answer.search(/[\]}][^\]}]*$/) + 1),
  ]) {
    if (text === undefined || text.trim() === '') continue;
    try {
      return JSON.parse(text);
    } catch {}
  }
  return undefined;
}
