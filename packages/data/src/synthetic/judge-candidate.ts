import { WordHasher } from '../words.js';
import type { Candidate, SyntheticExample } from './candidate.js';

export interface CandidateRules {
  /** Share of the answers that must agree with the one that is kept. Default 0.5: more than half. */
  readonly agreement?: number;
  /** From which overlap of words (Jaccard) two answers agree. Default 0.6. */
  readonly overlap?: number;
  /** Words of an answer, or characters in Chinese. Default 1 to 400. */
  readonly length?: readonly [least: number, most: number];
}

/** What became of a candidate: an example, or the reason why it is none. */
export type CandidateVerdict = { readonly keep: SyntheticExample } | { readonly reason: string };

const words = new WordHasher();

/**
 * Keeps the answer that most others agree with (self-consistency, Wang et al. 2022, arXiv:2203.11171), if it is an answer at
 * all: not empty, not too long, not the question again, and not one run of words over and over.
 */
export function judgeCandidate(candidate: Candidate, rules: CandidateRules = {}): CandidateVerdict {
  const { agreement = 0.5, overlap = 0.6, length = [1, 400] } = rules;
  const instruction = candidate.instruction.trim();
  if (instruction === '') return { reason: 'no instruction' };
  const hashed = candidate.answers.map((answer) => words.hash(answer).slice());
  const sets = hashed.map((hashes) => new Set(hashes));
  const votes = sets.map((own) => sets.filter((other) => jaccard(own, other) >= overlap).length);
  const best = votes.indexOf(Math.max(...votes));
  if (best < 0 || sets[best].size === 0) return { reason: 'no answer' };
  if (votes.length > 1 && votes[best] <= agreement * votes.length) return { reason: 'answers disagree' };
  const count = hashed[best].length;
  if (count < length[0]) return { reason: 'answer too short' };
  if (count > length[1]) return { reason: 'answer too long' };
  if (jaccard(sets[best], new Set(words.hash(instruction))) >= 0.9) return { reason: 'repeats the question' };
  if (count >= 10 && sets[best].size < 0.3 * count) return { reason: 'repeats itself' };
  return { keep: { instruction, answer: candidate.answers[best].trim(), seed: candidate.seed.id } };
}

function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const word of a) if (b.has(word)) shared++;
  const all = a.size + b.size - shared;
  return all === 0 ? 1 : shared / all;
}
