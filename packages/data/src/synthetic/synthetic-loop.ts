import { deduplicate } from '../deduplication/deduplicate.js';
import type { Candidate, SyntheticExample } from './candidate.js';
import { distinctPairs } from './diversity.js';
import { type CandidateRules, judgeCandidate } from './judge-candidate.js';

/** How much better a model became on held-out real items, with the interval of that difference. */
export interface Gain {
  readonly difference: number;
  readonly low: number;
  readonly high: number;
}

/** What the loop is given: models, training and measuring are the caller's. `Score` is whatever `measure` says of a model. */
export interface SyntheticLoopOptions<Score> {
  /** Most rounds. */
  readonly rounds: number;
  /** Writes the candidates of a round from the seed documents. */
  write(round: number): Promise<readonly Candidate[]>;
  /** Trains on all examples so far. */
  train(examples: readonly SyntheticExample[], round: number): Promise<void>;
  /** Scores the model on held-out **real** items, the same ones every time. */
  measure(): Promise<Score>;
  /** The paired difference of two measurements; higher is better. */
  compare(before: Score, after: Score): Gain;
  /** Perplexity of held-out real text; default: not watched. */
  perplexity?(): Promise<number>;
  /** Whether an example is good; default: all that pass the rules are. */
  judge?(example: SyntheticExample): Promise<boolean>;
  /** Takes back what the training of a round did, when it did no good. */
  undo?(round: number): Promise<void>;
  readonly rules?: CandidateRules;
  /** Jaccard similarity from which two examples are copies. Default 0.8. */
  readonly copies?: number;
  /** The loop stops when the diversity of new examples falls below this share of the first round's. Default 0.7. */
  readonly leastDiversity?: number;
  /** And below this share of different word pairs at all, in whatever round. Default 0.1. */
  readonly leastDistinct?: number;
  /** The loop stops when the perplexity of real text rises above this multiple of the start's. Default 1.05. */
  readonly mostPerplexity?: number;
  /** What an interrupted loop had come to: it goes on with the next round, from the model of the last one. */
  readonly progress?: SyntheticProgress;
  /** Is told each round, and what to save so that the loop could go on from here. */
  readonly onRound?: (round: SyntheticRound, progress: SyntheticProgress) => void | Promise<void>;
}

/** What a loop has come to; plain data. */
export interface SyntheticProgress {
  readonly rounds: readonly SyntheticRound[];
  /** Examples of the rounds that were kept. */
  readonly examples: readonly SyntheticExample[];
  /** Perplexity of real text before the first round. */
  readonly perplexity?: number;
}

export interface SyntheticRound {
  readonly round: number;
  readonly candidates: number;
  /** New examples of this round. */
  readonly accepted: number;
  /** Reason → candidates that went. */
  readonly rejected: Readonly<Record<string, number>>;
  /** {@link distinctPairs} of the new examples. */
  readonly diversity: number;
  /** Missing when the round was stopped before training. */
  readonly gain?: Gain;
  readonly perplexity?: number;
  /** Whether the model of this round stays. */
  readonly kept: boolean;
}

export type StopReason =
  | 'all rounds done'
  | 'no new examples'
  | 'collapse: too little diversity'
  | 'collapse: perplexity of real text rose'
  | 'no gain: its interval is not above zero';

export interface SyntheticReport extends SyntheticProgress {
  readonly stopped: StopReason;
}

/**
 * Lets a model learn from what models write: writes, filters, trains, measures on real data, and goes on only while the
 * interval of the gain lies above zero. Stops at signs of collapse (Shumailov et al. 2024, doi:10.1038/s41586-024-07566-y):
 * examples that become alike, or real text that becomes less likely.
 */
export async function runSyntheticLoop<Score>(
  options: SyntheticLoopOptions<Score>,
): Promise<SyntheticReport> {
  const { rounds: most, leastDiversity = 0.7, leastDistinct = 0.1, mostPerplexity = 1.05 } = options;
  const { progress } = options;
  let examples = progress?.examples ?? [];
  let score = await options.measure();
  const start = progress?.perplexity ?? (await options.perplexity?.());
  const rounds = [...(progress?.rounds ?? [])];
  const now = (): SyntheticProgress => ({
    rounds: [...rounds],
    examples,
    ...(start !== undefined && { perplexity: start }),
  });
  const finish = (stopped: StopReason): SyntheticReport => ({ ...now(), stopped });
  const note = async (round: SyntheticRound) => {
    rounds.push(round);
    await options.onRound?.(round, now());
  };
  for (let round = rounds.length + 1; round <= most; round++) {
    const candidates = await options.write(round);
    const { accepted, rejected } = await sift(candidates, examples, options);
    const diversity = distinctPairs(accepted.map(({ instruction, answer }) => `${instruction}\n${answer}`));
    const facts = { round, candidates: candidates.length, accepted: accepted.length, rejected, diversity };
    const first = rounds[0]?.diversity ?? diversity;
    const stop =
      accepted.length === 0
        ? 'no new examples'
        : diversity < Math.max(leastDistinct, leastDiversity * first)
          ? 'collapse: too little diversity'
          : undefined;
    if (stop) {
      await note({ ...facts, kept: false });
      return finish(stop);
    }
    const tried = [...examples, ...accepted];
    await options.train(tried, round);
    const after = await options.measure();
    const gain = options.compare(score, after);
    const perplexity = await options.perplexity?.();
    const measured = { ...facts, gain, ...(perplexity !== undefined && { perplexity }) };
    const strays = perplexity !== undefined && !(perplexity <= mostPerplexity * (start as number));
    if (strays || !(gain.low > 0)) {
      await options.undo?.(round);
      await note({ ...measured, kept: false });
      return finish(
        strays ? 'collapse: perplexity of real text rose' : 'no gain: its interval is not above zero',
      );
    }
    examples = tried;
    score = after;
    await note({ ...measured, kept: true });
  }
  return finish('all rounds done');
}

type Filters = Pick<SyntheticLoopOptions<never>, 'rules' | 'copies' | 'judge'>;

/** Candidates that pass the rules, are no copies of each other or of earlier examples, and please the judge. */
async function sift(
  candidates: readonly Candidate[],
  earlier: readonly SyntheticExample[],
  { rules, copies = 0.8, judge }: Filters,
): Promise<{ accepted: SyntheticExample[]; rejected: Record<string, number> }> {
  const rejected: Record<string, number> = {};
  const reject = (reason: string) => {
    rejected[reason] = (rejected[reason] ?? 0) + 1;
  };
  const passed: SyntheticExample[] = [];
  for (const candidate of candidates) {
    const verdict = judgeCandidate(candidate, rules);
    if ('keep' in verdict) passed.push(verdict.keep);
    else reject(verdict.reason);
  }
  const texts = [...earlier, ...passed].map(({ instruction, answer }) => `${instruction}\n${answer}`);
  const duplicates = await deduplicate(() => texts, { threshold: copies, shingle: 2 });
  const accepted: SyntheticExample[] = [];
  for (const [i, example] of passed.entries()) {
    const position = earlier.length + i;
    if (duplicates.originalOf(position) !== position) reject('copy');
    else if (judge && !(await judge(example))) reject('judged bad');
    else accepted.push(example);
  }
  return { accepted, rejected };
}
