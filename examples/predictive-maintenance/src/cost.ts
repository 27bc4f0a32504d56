/** Of the challenge (Scania, IDA 2016): a check in the workshop for nothing, and a truck that breaks down. */
export const COST = { falseAlarm: 10, missedFailure: 500 };

/** What one truck costs when it is sent to the workshop, or not. */
export function costOf(alarm: boolean, label: number): number {
  if (alarm) return label === 1 ? 0 : COST.falseAlarm;
  return label === 1 ? COST.missedFailure : 0;
}

/**
 * The score from which on an alarm is cheaper. Scores become probabilities by a fitted logistic curve (Platt 1999), and an
 * alarm pays off where a failure is likelier than falseAlarm / (falseAlarm + missedFailure) (Elkan 2001). The threshold that was the
 * cheapest on these very rows would hang on one or two of the few failures.
 */
export function cheapestThreshold(scores: readonly number[], labels: readonly number[]): number {
  const { slope, offset } = fitCurve(scores, labels);
  if (!(slope > 0)) return Number.POSITIVE_INFINITY; // the scores say nothing
  return (Math.log(COST.falseAlarm / COST.missedFailure) - offset) / slope;
}

/** p(failure) = 1 / (1 + exp(-(slope · score + offset))) of the highest likelihood, by Newton's method, with a little pull to 0. */
function fitCurve(scores: readonly number[], labels: readonly number[]) {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const deviation =
    Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length) || 1;
  const [PULL, ROUNDS] = [1e-3, 50];
  let [slope, offset] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    let [gs, go, hss, hso, hoo] = [PULL * slope, 0, PULL, 0, 0];
    for (const [i, score] of scores.entries()) {
      const x = (score - mean) / deviation;
      const p = 1 / (1 + Math.exp(-(slope * x + offset)));
      const [error, curve] = [p - labels[i], p * (1 - p) + 1e-9];
      gs += error * x;
      go += error;
      hss += curve * x * x;
      hso += curve * x;
      hoo += curve;
    }
    const determinant = hss * hoo - hso * hso;
    const limit = (step: number) => Math.max(-2, Math.min(2, step)); // far from the solution whole steps go too far
    slope -= limit((hoo * gs - hso * go) / determinant);
    offset -= limit((hss * go - hso * gs) / determinant);
  }
  return { slope: slope / deviation, offset: offset - (slope * mean) / deviation };
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
