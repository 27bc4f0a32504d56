import { textFraction } from '@frugal/data';
import type { Disease } from './diseases.js';

/** One name to be classified. */
export interface Case {
  readonly text: string;
  readonly language: 'English' | 'Chinese';
  readonly chapter: number;
}

export interface Split {
  readonly train: readonly Case[];
  /** Chooses temperatures and thresholds, and nothing else. */
  readonly validation: readonly Case[];
  readonly test: readonly Case[];
}

/** Diseases stay whole (both languages on one side) in a `random` split, whole 3-character categories in the other. */
export type SplitKind = 'random' | 'category';

const TEST_SHARE = 0.1;
const VALIDATION_SHARE = 0.05;

/**
 * Splits by hash. With `random`, siblings such as A00.0 and A00.1 land on both sides and give each other away; with
 * `category` they do not. A text that also stands in the test (some translations are equal) is dropped from the rest.
 */
export function splitCases(diseases: readonly Disease[], kind: SplitKind, seed: number): Split {
  const sides: Record<keyof Split, Case[]> = { train: [], validation: [], test: [] };
  for (const disease of diseases) {
    const key = kind === 'random' ? disease.english : disease.code.slice(0, 3);
    const at = textFraction(`${seed}:${kind}:${key}`);
    const side = at < TEST_SHARE ? 'test' : at < TEST_SHARE + VALIDATION_SHARE ? 'validation' : 'train';
    sides[side].push(...casesOf(disease));
  }
  const tested = new Set(sides.test.map(({ text }) => text));
  const validation = sides.validation.filter(({ text }) => !tested.has(text));
  const seen = new Set([...tested, ...validation.map(({ text }) => text)]);
  return { test: sides.test, validation, train: sides.train.filter(({ text }) => !seen.has(text)) };
}

function casesOf({ english, chinese, chapter }: Disease): Case[] {
  return [
    { text: english.toLowerCase(), language: 'English', chapter },
    { text: chinese.toLowerCase(), language: 'Chinese', chapter },
  ];
}
