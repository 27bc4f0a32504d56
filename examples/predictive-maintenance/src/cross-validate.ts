import type { Module } from '@frugal/tensor-core/nn';
import { bestThreshold, costOf, stratifiedFolds } from './cost.js';
import {
  type Rows,
  type Scorer,
  type Sizes,
  scorerOf,
  shuffled,
  trainLogistic,
  trainStudent,
  trainTeacher,
} from './network.js';
import { fitScaling, type Table } from './table.js';

export interface Validation extends Sizes {
  /** Folds of the test, and within the rest of each those that choose thresholds and strengths. */
  readonly outer: number;
  readonly inner: number;
  readonly seed: number;
}

export const names = ['logistic regression', 'teacher', 'student int8'] as const;
export type Name = (typeof names)[number];

export interface Results {
  /** What each truck cost when it was in the test, by model. */
  readonly costs: Readonly<Record<Name, number[]>>;
  readonly bytes: Readonly<Record<Name, number>>;
}

/** Strengths of logistic regression's weight decay that the inner folds choose from. */
const DECAYS = [0.03, 0.3, 3];

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

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
    const learners = learnersOf(settings, bytes);
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
  const threshold = bestThreshold(scores, labels);
  const cost = scores.reduce((sum, score, k) => sum + costOf(score > threshold, labels[k]), 0);
  return { threshold, cost };
}

/** Learns from some trucks and scores others. */
async function scoreAfter(
  learn: Learner,
  table: Table,
  from: readonly number[],
  to: readonly number[],
  random: () => number,
): Promise<number[]> {
  const scale = fitScaling(from.map((i) => table.rows[i]));
  const rows = { readings: from.map((i) => scale(table.rows[i])), labels: from.map((i) => table.labels[i]) };
  const score = await learn(shuffled(rows, random));
  return score(to.map((i) => scale(table.rows[i])));
}

function learnersOf(settings: Validation, bytes: Record<string, number>): Record<Name, Learner[]> {
  const { seed } = settings;
  const measured = (name: Name, model: Module & { forward(batch: never): unknown }, size: number): Scorer => {
    bytes[name] = size;
    return async (readings) => {
      const scores = await scorerOf(model as Parameters<typeof scorerOf>[0])(readings);
      model.dispose();
      return scores;
    };
  };
  const bytesOf = (model: Module) => model.parameters().reduce((sum, { value }) => sum + value.byteLength, 0);
  return {
    'logistic regression': DECAYS.map((decay) => async (rows) => {
      const model = await trainLogistic(rows, settings, decay);
      return measured('logistic regression', model, bytesOf(model));
    }),
    teacher: [
      async (rows) => {
        const model = await trainTeacher(rows, settings, seed);
        return measured('teacher', model, bytesOf(model));
      },
    ],
    'student int8': [
      async (rows) => {
        const teacher = await trainTeacher(rows, settings, seed);
        const { model, bytesAfter } = await trainStudent(rows, teacher, settings, seed);
        teacher.dispose();
        return measured('student int8', model, bytesAfter);
      },
    ],
  };
}
