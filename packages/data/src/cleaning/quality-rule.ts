import type { TextFacts } from './text-facts.js';

/** One way in which a text is bad. */
export interface QualityRule {
  /** Stands in reports, as the reason why a document went. */
  readonly name: string;
  /** Why such texts teach nothing, and where the rule is from. */
  readonly why: string;
  readonly isBad: (facts: TextFacts) => boolean;
}

/** Limits of Gopher (Rae et al. 2021, table A1): characters in repeated runs of words, by their size. */
const TOP_RUNS: readonly (readonly [size: number, limit: number])[] = [
  [2, 0.2],
  [3, 0.18],
  [4, 0.16],
];
const REPEATED_RUNS: readonly (readonly [size: number, limit: number])[] = [
  [5, 0.15],
  [6, 0.14],
  [7, 0.13],
  [8, 0.12],
  [9, 0.11],
  [10, 0.1],
];

/** Repetition, in whatever language. */
export const REPETITION_RULES: readonly QualityRule[] = [
  {
    name: 'repeated lines',
    why: 'Menus and lists made by machines; more than a fifth of the characters (Gopher, table A1).',
    isBad: (facts) => facts.repeatedLineShare > 0.2,
  },
  {
    name: 'one phrase over and over',
    why: 'Keyword spam: one run of 2 to 4 words fills the text (Gopher, table A1).',
    isBad: (facts) => TOP_RUNS.some(([size, limit]) => facts.topRunShare(size) > limit),
  },
  {
    name: 'repeated phrases',
    why: 'Templates: runs of 5 to 10 words that stood before fill the text (Gopher, table A1).',
    isBad: (facts) => REPEATED_RUNS.some(([size, limit]) => facts.repeatedRunShare(size) > limit),
  },
];
