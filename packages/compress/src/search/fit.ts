import { CompressError } from '../errors.js';
import type { Allocation, Knapsack } from './knapsack.js';
import type { MeasuredCandidate } from './search-store.js';

/** A checkpoint this much below the target is full enough. */
const SLACK = 0.005;
const ROUNDS = 12;

/**
 * The best allocation whose checkpoint is not larger than `target` bytes.
 * @param sizeOf bytes of the checkpoint: the units, and all that a search leaves alone
 * @throws CompressError when nothing is that small
 */
export function fitSize(
  knapsack: Knapsack,
  sizeOf: (allocation: Allocation) => number,
  target: number,
): Allocation {
  const { smallest } = knapsack;
  const least = sizeOf(smallest);
  if (least > target) {
    throw new CompressError({
      where: 'search',
      what: 'no choice of formats is that small',
      got: `${target} bytes`,
      expected: `at least ${least} bytes`,
      hint: 'Give a larger target, or remove layers or neurons first.',
    });
  }
  let best = { allocation: smallest, size: least };
  let budget = target - (least - smallest.bytes);
  for (let round = 0; round < ROUNDS; round++) {
    const allocation = knapsack.within(budget);
    if (!allocation) break;
    const size = sizeOf(allocation);
    if (size <= target && size > best.size) best = { allocation, size };
    if (allocation === knapsack.largest || (size <= target && target - size <= SLACK * target)) break;
    budget += (target - size) * (size > target ? 1 : 0.9);
  }
  return best.allocation;
}

/** A search by quality is over when this share of what may be lost is lost. */
const FULL = 0.8;
const AIM = 0.9;
/** Recipes that are run at most. */
const CANDIDATES = 12;

/**
 * The smallest allocation whose measured loss stays within a limit: from the prediction, corrected by each measurement, and
 * halving between what was too lossy and what was not.
 * @param lossOf runs the allocation: nats that it loses; null when interrupted
 * @returns null when none that was run stays within the limit
 */
export async function fitLoss(
  knapsack: Knapsack,
  limit: number,
  lossOf: (allocation: Allocation) => Promise<number | null>,
): Promise<Allocation | null> {
  const points = knapsack.frontier(2000);
  let [low, high] = [-1, points.length]; // points[low] loses too much, points[high] does not
  let factor = 1;
  for (let run = 0; run < CANDIDATES && high - low > 1; run++) {
    const wanted = points.findIndex(({ loss }) => loss * factor <= AIM * limit);
    const aimed = wanted < 0 ? points.length - 1 : wanted;
    const index = aimed > low && aimed < high ? aimed : Math.floor((low + high) / 2);
    const lost = await lossOf(points[index]);
    if (lost === null) break;
    if (lost <= limit) high = index;
    else low = index;
    if (lost <= limit && lost >= FULL * limit) break;
    if (points[index].loss > 0 && lost > 0) factor = lost / points[index].loss;
  }
  return points[high] ?? null;
}

/** A search by latency is over when this share of what a token may take is used. */
const FAST_ENOUGH = 0.92;

/**
 * The best allocation whose measured latency stays within a limit: a token takes about as long as its weights are large, which
 * says where to look next, and halving between what was too slow and what was not does the rest.
 * @param latencyOf runs the allocation: seconds of a new token; null when interrupted
 * @returns null when none that was run is fast enough
 */
export async function fitLatency(
  knapsack: Knapsack,
  limit: number,
  latencyOf: (allocation: Allocation) => Promise<number | null>,
): Promise<Allocation | null> {
  const points = knapsack.frontier(2000);
  let [low, high] = [-1, points.length]; // points[low] is fast enough, points[high] is not
  let aimed = points.length >> 1;
  for (let run = 0; run < CANDIDATES && high - low > 1; run++) {
    const index = aimed > low && aimed < high ? aimed : Math.floor((low + high) / 2);
    const seconds = await latencyOf(points[index]);
    if (seconds === null) break;
    if (seconds <= limit) low = index;
    else high = index;
    if (seconds <= limit && seconds >= FAST_ENOUGH * limit) break;
    const bytes = (points[index].bytes * limit * ((1 + FAST_ENOUGH) / 2)) / seconds;
    aimed = points.filter((point) => point.bytes <= bytes).length - 1;
  }
  return points[low] ?? null;
}

/** What was measured of an allocation before. */
export function measuredBefore(
  candidates: readonly MeasuredCandidate[],
  { picks }: Allocation,
): MeasuredCandidate | undefined {
  return candidates.find((known) => known.picks.join() === picks.join());
}
