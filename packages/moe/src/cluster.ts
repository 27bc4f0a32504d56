import {
  ArgumentError,
  keep,
  noGrad,
  type Random,
  scatterAddRows,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';

const ITERATIONS = 12;

/**
 * One direction per expert from the inputs of a feed-forward layer, so that a router begins by sending alike tokens to the
 * same expert: spherical k-means (Dhillon & Modha 2001) on what remains of x [N, C] off its mean direction, seeded as in
 * k-means++. The directions [count, C] are scaled so that logits have standard deviation 1 over x.
 * @throws ArgumentError when there are fewer rows than directions
 */
export async function clusterDirections(x: Tensor, count: number, random: Random): Promise<Tensor> {
  if (x.shape[0] < count)
    throw new ArgumentError({
      where: 'clusterDirections',
      what: 'too few tokens to tell experts apart',
      got: `${x.shape[0]} tokens`,
      expected: `at least ${count}, one per expert`,
      hint: 'Give more text.',
    });
  const units = scope(() => noGrad(() => unitRows(offMean(x.cast('f32')))));
  let centers = await seeds(units, count, random);
  for (let i = 0; i < ITERATIONS; i++) {
    const next = scope(() => noGrad(() => keep(moved(units, centers))));
    centers.dispose();
    centers = next;
  }
  const directions = scope(() =>
    noGrad(() => {
      // Off the mean direction, which would raise or lower all tokens alike.
      const logits = x.cast('f32').matmul(centers.transpose());
      const centered = logits.sub(logits.mean(1, true));
      const deviation = centered.mul(centered).mean().sqrt().add(1e-12);
      return centers.div(deviation);
    }),
  );
  units.dispose();
  centers.dispose();
  return directions;
}

/** Rows without their part along the mean of all. */
function offMean(x: Tensor): Tensor {
  const mean = x.mean(0).reshape(-1, 1); // [C, 1]
  const direction = mean.div(mean.mul(mean).sum().sqrt().add(1e-12));
  return x.sub(x.matmul(direction).matmul(direction.transpose()));
}

function unitRows(x: Tensor): Tensor {
  return x.div(x.mul(x).sum(1, true).sqrt().add(1e-12));
}

/** k-means++ (Arthur & Vassilvitskii 2007): each next center is a row, drawn by its distance from those there are. */
async function seeds(units: Tensor, count: number, random: Random): Promise<Tensor> {
  const draws = await random.uniform([count]).toFloat32();
  const { backend } = units;
  const N = units.shape[0];
  const chosen = [Math.min(N - 1, Math.floor(draws[0] * N))];
  const distance = new Float32Array(N).fill(Number.POSITIVE_INFINITY);
  while (chosen.length < count) {
    const last = scope(() =>
      noGrad(() => {
        const row = units.slice(0, chosen[chosen.length - 1], chosen[chosen.length - 1] + 1);
        return units.matmul(row.transpose());
      }),
    );
    for (const [n, similarity] of (await last.toFloat32()).entries())
      distance[n] = Math.min(distance[n], Math.max(0, 1 - similarity));
    last.dispose();
    const total = distance.reduce((sum, value) => sum + value, 0);
    chosen.push(indexAt(distance, draws[chosen.length] * total));
  }
  return units.gatherRows(tensor(Int32Array.from(chosen), { backend }));
}

/** Where the running sum of values passes a number; the last one when it never does (all zero, or rounding). */
function indexAt(values: Float32Array, wanted: number): number {
  let sum = 0;
  for (const [i, value] of values.entries()) {
    sum += value;
    if (sum > wanted) return i;
  }
  return values.length - 1;
}

/** The mean directions of the rows next to each center; a center without rows stays. */
function moved(units: Tensor, centers: Tensor): Tensor {
  const nearest = units.matmul(centers.transpose()).argMax(1);
  const sums = scatterAddRows(nearest, units, centers.shape[0]);
  return unitRows(sums.add(centers.mul(1e-6)));
}
