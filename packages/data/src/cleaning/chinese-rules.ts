import { type QualityRule, REPETITION_RULES } from './quality-rule.js';

const HAN = /\p{Script=Han}/gu;
const PUNCTUATION = /[，。！？；：、“”‘’（）《》…—,.!?;:]/g;

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/**
 * Rules for Chinese: the ideas of Gopher and FineWeb with characters for words. No paper fixes these limits; they are ours,
 * wide enough that prose from the classics to the news passes.
 */
export const CHINESE_RULES: readonly QualityRule[] = [
  {
    name: 'too few characters',
    why: 'Fewer than 50 characters hold captions and buttons.',
    isBad: ({ words }) => words.length < 50,
  },
  {
    name: 'too many characters',
    why: 'More than 200,000 characters are collections and dumps.',
    isBad: ({ words }) => words.length > 200_000,
  },
  {
    name: 'too few Chinese characters',
    why: 'Less than half of what is not space is Han: code, tables, contact lists.',
    isBad: ({ text }) => count(text, HAN) / Math.max(1, count(text, /\S/gu)) < 0.5,
  },
  {
    name: 'hardly any punctuation',
    why: 'Prose has a mark every 10 to 20 characters; less than one in 100 are lists of keywords and names.',
    isBad: ({ text, words }) => count(text, PUNCTUATION) / words.length < 0.01,
  },
  {
    name: 'too much punctuation',
    why: 'More than two marks for five characters: tables of contents, decoration.',
    isBad: ({ text, words }) => count(text, PUNCTUATION) / words.length > 0.4,
  },
  {
    name: 'hardly a line ends a sentence',
    why: 'At most 12 % of lines end with punctuation: menus, titles, tables (after FineWeb).',
    isBad: (facts) => facts.share(facts.lines, (line) => /[。！？…；：”’」』）.!?;:"]$/.test(line)) <= 0.12,
  },
  {
    name: 'short lines',
    why: 'At least two thirds of the lines have fewer than 10 characters: menus and lists (after FineWeb).',
    isBad: (facts) => facts.lines.length > 1 && facts.share(facts.lines, ({ length }) => length < 10) >= 0.67,
  },
  {
    name: 'one character over and over',
    why: 'A character that makes up a fifth of the text: laughter, decoration.',
    isBad: (facts) => facts.topRunShare(1) > 0.2,
  },
  ...REPETITION_RULES,
];
