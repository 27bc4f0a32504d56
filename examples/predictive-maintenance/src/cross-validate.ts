import { uniform } from '@frugal/example-support';
import { modelBytes } from '@frugal/tensor-core/nn';
import { cheapestThreshold, costOf, stratifiedFolds } from './cost.js';
import { Forest } from './forest.js';
import {
  type Rows,
  type Scorer,
  type Sizes,
  scorerOf,
  shuffled,
  type Trained,
  trainLogistic,
  trainStudent,
} from './network.js';
import type { Table } from './table.js';

export interface Validation extends Sizes {
  /** Folds of the test, and within the rest of each those that choose thresholds and strengths. */
  readonly outer: number;
  readonly inner: number;
  /** Of the forest. */
  readonly trees: number;
  readonly seed: number;
}

export const names = [
  'logistic regression',
  'teacher: forest',
  'student alone',
  'student distilled',
] as const;
export type Name = (typeof names)[number];

export interface Results {
  /** What each truck cost when it was in the test, by model. */
  readonly costs: Readonly<Record<Name, number[]>>;
  readonly bytes: Readonly<Record<Name, number>>;
}

/** Strengths of logistic regression's penalty that the inner folds choose from. */
const STRENGTHS = [0.03, 0.1, 0.3];

/** One way of learning: gives scores for rows that it has not seen. */
type Learner = (rows: Rows) => Promise<Scorer>;

/**
 * Nested cross-validation: every truck is tested once, by models and thresholds that never saw it. Scaling, thresholds and
 * the strength of the regression come from the other folds alone.
 */
export async function crossValidate(
  table: Table,
  settings: Validation,
  onProgress: (line: string) => void,
): Promise<Results> {
  const random = uniform(settings.seed);
  const costs = Object.fromEntries(
    names.map((name) => [name, new Array<number>(table.labels.length)]),
  ) as Record<Name, number[]>;
  const bytes: Record<string, number> = {};
  for (const [fold, test] of stratifiedFolds(table.labels, settings.outer, random).entries()) {
    const isTest = new Set(test);
    const rest = [...table.labels.keys()].filter((i) => !isTest.has(i));
    const learners = learnersOf(settings, bytes, random);
    for (const name of names) {
      const tried = [];
      for (const learn of learners[name])
        tried.push({ learn, ...(await tryOut(learn, table, rest, settings, random)) });
      const { learn, threshold } = tried.reduce((best, other) => (other.cost < best.cost ? other : best));
      const scores = await scoreAfter(learn, table, rest, test, random);
      for (const [k, i] of test.entries()) costs[name][i] = costOf(scores[k] > threshold, table.labels[i]);
      const sum = test.reduce((total, i) => total + costs[name][i], 0);
      onProgress(`fold ${fold + 1} of ${settings.outer}: ${name} ${sum}`);
    }
  }
  return { costs, bytes: bytes as Results['bytes'] };
}

/** The threshold and the cost that the inner folds find for a learner. */
async function tryOut(
  learn: Learner,
  table: Table,
  rest: readonly number[],
  { inner }: Validation,
  random: () => number,
) {
  const labels = rest.map((i) => table.labels[i]);
  const scores = new Array<number>(rest.length);
  for (const fold of stratifiedFolds(labels, inner, random)) {
    const isHeld = new Set(fold);
    const others = rest.filter((_, k) => !isHeld.has(k));
    const found = await scoreAfter(
      learn,
      table,
      others,
      fold.map((k) => rest[k]),
      random,
    );
    for (const [at, k] of fold.entries()) scores[k] = found[at];
  }
  const threshold = cheapestThreshold(scores, labels);
  const cost = scores.reduce((sum, score, k) => sum + costOf(score > threshold, labels[k]), 0);
  return { threshold, cost };
}

/** Learns from some trucks and scores others. */
async function scoreAfter(
  learn: Learner,
  { rows, labels }: Table,
  from: readonly number[],
  to: readonly number[],
  random: () => number,
): Promise<number[]> {
  const order = shuffled(from, random);
  const score = await learn({ readings: order.map((i) => rows[i]), labels: order.map((i) => labels[i]) });
  return score(to.map((i) => rows[i]));
}

function learnersOf(
  settings: Validation,
  bytes: Record<string, number>,
  random: () => number,
): Record<Name, Learner[]> {
  const { seed, trees } = settings;
  const once = (name: Name, trained: Trained, size: number): Scorer => {
    bytes[name] = size;
    return async (readings) => {
      const scores = await scorerOf(trained)(readings);
      trained.model.dispose();
      return scores;
    };
  };
  const forestOf = (rows: Rows) => new Forest(rows, { trees, random });
  const student = (name: Name, teach: (rows: Rows) => Forest | null) => async (rows: Rows) => {
    const trained = await trainStudent(rows, teach(rows), settings, seed, random);
    return once(name, trained, trained.bytesAfter);
  };
  return {
    'logistic regression': STRENGTHS.map((strength) => async (rows) => {
      const trained = await trainLogistic(rows, strength);
      return once('logistic regression', trained, modelBytes(trained.model));
    }),
    'teacher: forest': [
      async (rows) => {
        const forest = forestOf(rows);
        bytes['teacher: forest'] = forest.bytes;
        return async (readings) => readings.map((reading) => forest.score(reading));
      },
    ],
    'student alone': [student('student alone', () => null)],
    'student distilled': [student('student distilled', forestOf)],
  };
}
