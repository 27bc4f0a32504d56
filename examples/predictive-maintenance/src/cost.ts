/** Of the challenge (Scania, IDA 2016): a check in the workshop for nothing, and a truck that breaks down. */
export const COST = { falseAlarm: 10, missedFailure: 500 };

/** What one truck costs when it is sent to the workshop, or not. */
export function costOf(alarm: boolean, label: number): number {
  if (alarm) return label === 1 ? 0 : COST.falseAlarm;
  return label === 1 ? COST.missedFailure : 0;
}

/** The threshold of the lowest cost on these scores: halfway between two of them, or beyond all. */
export function bestThreshold(scores: readonly number[], labels: readonly number[]): number {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  let cost = labels.reduce((sum, label) => sum + costOf(false, label), 0);
  let best = { cost, threshold: Number.POSITIVE_INFINITY };
  order.forEach((at, i) => {
    cost += costOf(true, labels[at]) - costOf(false, labels[at]);
    const next = scores[order[i + 1]] ?? Number.NEGATIVE_INFINITY;
    if (cost < best.cost && next < scores[at]) best = { cost, threshold: (scores[at] + next) / 2 };
  });
  return best.threshold;
}

/** Splits items into `count` parts that hold the same share of each label. */
export function stratifiedFolds(labels: readonly number[], count: number, random: () => number): number[][] {
  const folds: number[][] = Array.from({ length: count }, () => []);
  let next = 0;
  for (const label of new Set(labels)) {
    const items = [...labels.keys()].filter((i) => labels[i] === label);
    const shuffled = items.map((i) => [random(), i]).sort(([a], [b]) => a - b);
    for (const [, i] of shuffled) folds[next++ % count].push(i);
  }
  return folds;
}
