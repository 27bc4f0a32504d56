/** Passes after which the groups have settled for every practical purpose. */
const PASSES = 20;

/**
 * Replaces the numbers of a row by at most `count` values, so that Σ importance · (value - number)² is small: Lloyd's
 * algorithm in one dimension, from quantiles (Han et al. 2016, arXiv:1510.00149, §3; weighted as in Kim et al. 2023,
 * arXiv:2306.07629). In one dimension groups are intervals: sorted numbers and the borders between them suffice.
 */
export function shareValues(row: Float32Array, importance: Float32Array, count: number): Float32Array {
  const order = Uint32Array.from(row.keys()).sort((a, b) => row[a] - row[b]);
  const sums = prefixSums(row, importance, order);
  let borders = equalShares(sums.importance, count);
  for (let pass = 0; pass < PASSES; pass++) {
    const next = bordersBetween(row, order, centres(borders, sums));
    if (next.every((border, k) => border === borders[k])) break;
    borders = next;
  }
  const values = centres(borders, sums);
  const shared = new Float32Array(row.length);
  for (const [k, value] of values.entries())
    for (let i = borders[k]; i < borders[k + 1]; i++) shared[order[i]] = value;
  return shared;
}

interface Sums {
  readonly importance: Float64Array;
  readonly weighted: Float64Array;
}

/** Sums over the first i numbers in ascending order, so that those of any interval are one subtraction. */
function prefixSums(row: Float32Array, importance: Float32Array, order: Uint32Array): Sums {
  const sums = { importance: new Float64Array(row.length + 1), weighted: new Float64Array(row.length + 1) };
  // A column that no activation reaches still counts a little, or a group of such would have no centre.
  const least = importance.reduce((sum, value) => sum + value, 0) / importance.length / 1e6 || 1;
  order.forEach((at, i) => {
    const weight = Math.max(importance[at], least);
    sums.importance[i + 1] = sums.importance[i] + weight;
    sums.weighted[i + 1] = sums.weighted[i] + weight * row[at];
  });
  return sums;
}

/** Borders between intervals of about the same importance: where many numbers matter, values stand close. */
function equalShares(importance: Float64Array, count: number): number[] {
  const total = importance[importance.length - 1];
  const inner = Array.from({ length: count - 1 }, (_, k) =>
    importance.findIndex((sum) => sum >= ((k + 1) / count) * total),
  );
  return [0, ...inner, importance.length - 1];
}

/** The mean of each interval, weighted; of an empty one that of its neighbour below. */
function centres(borders: readonly number[], { importance, weighted }: Sums): number[] {
  const found: number[] = [];
  for (let k = 0; k + 1 < borders.length; k++) {
    const [from, to] = [borders[k], borders[k + 1]];
    const total = importance[to] - importance[from];
    found.push(
      to > from ? (weighted[to] - weighted[from]) / total : (found[k - 1] ?? weighted[1] / importance[1]),
    );
  }
  return found;
}

/** Where the nearest centre changes, as places in the ascending order. */
function bordersBetween(row: Float32Array, order: Uint32Array, values: readonly number[]): number[] {
  const borders = [0];
  let at = 0;
  for (let k = 0; k + 1 < values.length; k++) {
    const middle = (values[k] + values[k + 1]) / 2;
    while (at < order.length && row[order[at]] <= middle) at++;
    borders.push(at);
  }
  return [...borders, row.length];
}
