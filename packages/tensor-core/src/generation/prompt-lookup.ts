import { ArgumentError } from '../index.js';
import type { Draft } from './draft.js';

export interface PromptLookupOptions {
  /** Tokens that must agree, at most and at least; the longest agreement counts. */
  readonly longest?: number;
  readonly shortest?: number;
}

/**
 * Guesses that the text goes on as it did the last time its end occurred: for answers that quote, edit or repeat
 * (prompt lookup decoding, Saxena 2023). Costs next to nothing.
 */
export function promptLookup({ longest = 3, shortest = 2 }: PromptLookupOptions = {}): Draft {
  if (!(Number.isInteger(longest) && Number.isInteger(shortest) && shortest >= 1 && longest >= shortest)) {
    throw new ArgumentError({
      where: 'promptLookup',
      what: 'longest and shortest out of range',
      got: `${longest} and ${shortest}`,
      expected: 'integers, 1 or more, the longest not below the shortest',
    });
  }
  return {
    open: () => ({
      propose: (tokens, count) => {
        for (let size = Math.min(longest, tokens.length - 1); size >= shortest; size--) {
          const at = lastOccurrence(tokens, size);
          if (at >= 0) return continueFrom(tokens, at + size, count);
        }
        return [];
      },
      close: () => {},
    }),
    dispose: () => {},
  };
}

/** Where the last `size` tokens stood before, the latest such place; -1: nowhere. */
function lastOccurrence(tokens: readonly number[], size: number): number {
  const end = tokens.length - size;
  for (let start = end - 1; start >= 0; start--) {
    let same = 0;
    while (same < size && tokens[start + same] === tokens[end + same]) same++;
    if (same === size) return start;
  }
  return -1;
}

/** The tokens from `from` on; past the end of the text they repeat. */
function continueFrom(tokens: readonly number[], from: number, count: number): number[] {
  const guess: number[] = [];
  for (let i = from; guess.length < count; i++)
    guess.push(i < tokens.length ? tokens[i] : guess[i - tokens.length]);
  return guess;
}
