import type { Rows } from './network.js';

export interface ForestOptions {
  readonly trees: number;
  readonly random: () => number;
}

/** Rows that a leaf holds at least. */
const LEAF = 2;

/** A tree, flat: `feature` -1 marks a leaf, whose `value` is its share of failures; else `value` is a threshold. */
export interface Tree {
  readonly feature: number[];
  readonly value: number[];
  /** Where rows at or below the threshold go; those above it go to the next one. */
  readonly below: number[];
}

/**
 * Extremely randomised trees (Geurts, Ernst & Wehenkel 2006): at each node some sensors are drawn, each with a random
 * threshold, and the best of these splits is taken. Readings are seen as log(1 + x), missing ones as less than any other.
 * Both classes weigh the same in all. Large, and hard to beat on few rows: the teacher.
 */
export class Forest {
  readonly trees: readonly Tree[];

  constructor({ readings, labels }: Rows, { trees, random }: ForestOptions) {
    const seen = readings.map(visible);
    const failures = labels.reduce((sum, label) => sum + label, 0);
    const weights = labels.map((label) => 1 / (label === 1 ? failures : labels.length - failures));
    this.trees = Array.from({ length: trees }, () => grow(seen, labels, weights, random));
  }

  /** Of what a compact file would hold: two bytes a feature, four a value and a place. */
  get bytes(): number {
    return this.trees.reduce((sum, { feature }) => sum + 10 * feature.length, 0);
  }

  /** How sure the trees are of a failure: the logarithm of the odds of their mean. */
  score(reading: Float64Array): number {
    const row = visible(reading);
    let sum = 0;
    for (const { feature, value, below } of this.trees) {
      let node = 0;
      while (feature[node] >= 0) node = row[feature[node]] <= value[node] ? below[node] : below[node] + 1;
      sum += value[node];
    }
    const share = sum / this.trees.length;
    return Math.log((share + 0.01) / (1.01 - share)); // a hundred trees cannot tell 0.1 % from nothing
  }
}

const visible = (reading: Float64Array) =>
  reading.map((value) => (Number.isNaN(value) ? -1 : Math.log1p(value)));

function grow(
  rows: readonly Float64Array[],
  labels: readonly number[],
  weights: readonly number[],
  random: () => number,
): Tree {
  const tree: Tree = { feature: [], value: [], below: [] };
  const put = () => tree.feature.push(-1) - 1;
  const pending = [{ node: put(), items: [...labels.keys()] }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { node, items } = next;
    const failing = items.reduce((sum, i) => sum + weights[i] * labels[i], 0);
    const all = items.reduce((sum, i) => sum + weights[i], 0);
    tree.value[node] = failing / all;
    const split = failing > 0 && failing < all ? bestSplit(rows, labels, weights, items, random) : undefined;
    if (!split) continue;
    const { feature, threshold } = split;
    tree.feature[node] = feature;
    tree.value[node] = threshold;
    tree.below[node] = put();
    put();
    const isBelow = (i: number) => rows[i][feature] <= threshold;
    pending.push({ node: tree.below[node], items: items.filter(isBelow) });
    pending.push({ node: tree.below[node] + 1, items: items.filter((i) => !isBelow(i)) });
  }
  return tree;
}

/** Of √sensors random splits the one whose parts are the purest (Gini), if any leaves enough rows in both. */
function bestSplit(
  rows: readonly Float64Array[],
  labels: readonly number[],
  weights: readonly number[],
  items: readonly number[],
  random: () => number,
): { feature: number; threshold: number } | undefined {
  const sensors = rows[0].length;
  let best: { feature: number; threshold: number; impurity: number } | undefined;
  const order = Array.from({ length: sensors }, (_, c) => c);
  let tried = 0;
  for (let drawn = 0; drawn < sensors && tried < Math.sqrt(sensors); drawn++) {
    const at = drawn + Math.floor(random() * (sensors - drawn));
    [order[drawn], order[at]] = [order[at], order[drawn]];
    const feature = order[drawn];
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const i of items) {
      low = Math.min(low, rows[i][feature]);
      high = Math.max(high, rows[i][feature]);
    }
    if (low === high) continue; // says nothing here
    tried++;
    const threshold = low + random() * (high - low);
    const [sound, failed, count] = [
      [0, 0],
      [0, 0],
      [0, 0],
    ];
    for (const i of items) {
      const side = Number(rows[i][feature] > threshold);
      (labels[i] === 1 ? failed : sound)[side] += weights[i];
      count[side]++;
    }
    if (Math.min(...count) < LEAF) continue;
    const impurity = [0, 1].reduce((sum, s) => sum + (sound[s] * failed[s]) / (sound[s] + failed[s]), 0);
    if (!best || impurity < best.impurity) best = { feature, threshold, impurity };
  }
  return best;
}
