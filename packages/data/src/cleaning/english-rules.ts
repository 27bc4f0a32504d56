import { type QualityRule, REPETITION_RULES } from './quality-rule.js';

const STOP_WORDS = new Set(['the', 'be', 'to', 'of', 'and', 'that', 'have', 'with']);

/** Lines without those that a sentence runs on from, as in books with short lines: a small letter follows. */
function endedLines(lines: readonly string[]): readonly string[] {
  return lines.filter((_, i) => !/^\p{Ll}/u.test(lines[i + 1] ?? ''));
}

/**
 * Rules for English, and fair for other languages in the Latin script but for the stop words: Gopher (Rae et al. 2021,
 * A.1.1), C4 (Raffel et al. 2020, 2.2), FineWeb (Penedo et al. 2024, 3.6).
 */
export const ENGLISH_RULES: readonly QualityRule[] = [
  {
    name: 'too few words',
    why: 'Fewer than 50 words hold captions and buttons (Gopher).',
    isBad: ({ words }) => words.length < 50,
  },
  {
    name: 'too many words',
    why: 'More than 100,000 words are lists and dumps (Gopher).',
    isBad: ({ words }) => words.length > 100_000,
  },
  {
    name: 'words of odd length',
    why: 'A mean outside 3 to 10 letters is code, tables or noise (Gopher).',
    isBad: ({ words }) => {
      const mean = words.reduce((sum, word) => sum + word.length, 0) / words.length;
      return mean < 3 || mean > 10;
    },
  },
  {
    name: 'too many symbols',
    why: 'More than one # or … in ten words: tags and cut texts (Gopher).',
    isBad: ({ text, words }) => (text.match(/#|\.\.\.|…/g)?.length ?? 0) / words.length > 0.1,
  },
  {
    name: 'too few words with letters',
    why: 'Fewer than four fifths: tables of numbers (Gopher).',
    isBad: (facts) => facts.share(facts.words, (word) => /\p{L}/u.test(word)) < 0.8,
  },
  {
    name: 'hardly a stop word',
    why: 'Sentences hold two of eight frequent words; lists of names do not (Gopher).',
    isBad: ({ words }) => {
      const found = new Set<string>();
      for (const word of words) {
        const bare = word.toLowerCase().replace(/[^a-z]/g, '');
        if (STOP_WORDS.has(bare)) found.add(bare);
        if (found.size === 2) return false;
      }
      return true;
    },
  },
  {
    name: 'bullet points',
    why: 'More than nine lines of ten are items of a list (Gopher).',
    isBad: (facts) => facts.share(facts.lines, (line) => /^[•‣▪●○*-]/u.test(line)) > 0.9,
  },
  {
    name: 'lines cut off',
    why: 'More than three lines of ten end with an ellipsis: previews of other pages (Gopher).',
    isBad: (facts) => facts.share(facts.lines, (line) => /(\.\.\.|…)$/.test(line)) > 0.3,
  },
  {
    name: 'placeholder text',
    why: 'Lorem ipsum is no language (C4).',
    isBad: ({ text }) => /lorem ipsum/i.test(text),
  },
  {
    name: 'hardly a line ends a sentence',
    why: 'At most 12 % of lines end with punctuation: menus, titles, tables (FineWeb).',
    isBad: (facts) => facts.share(endedLines(facts.lines), (line) => /[.!?…:;"'”’)]$/.test(line)) <= 0.12,
  },
  {
    name: 'short lines',
    why: 'At least two thirds of the lines have fewer than 30 characters: menus and lists (FineWeb).',
    isBad: (facts) => facts.lines.length > 1 && facts.share(facts.lines, ({ length }) => length < 30) >= 0.67,
  },
  ...REPETITION_RULES,
];
