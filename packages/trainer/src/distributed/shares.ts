import { TrainerError } from '../errors.js';

/** How fast a rank works is remembered over about so many observations. */
const MEMORY = 8;
/** Shares change only where that makes a step faster by more than this; so they do not follow every hiccup. */
const WORTHWHILE = 0.05;
/** Cuts at round numbers send fewer partial sums: they are taken where they cost at most this much time. */
const FOR_ROUND = 0.04;

/** Divides the units of a step among ranks by their measured speed. All ranks that observe the same divide alike. */
export class Shares {
  private readonly speeds: number[];
  private readonly follows: boolean;
  private observations = 0;
  private current: number[] = [];

  /** Follows what is observed, unless `speeds` are given. */
  constructor(
    private readonly ranks: number,
    speeds?: readonly number[],
  ) {
    this.speeds = speeds ? [...speeds] : new Array(ranks).fill(1);
    this.follows = speeds === undefined;
    if (this.speeds.length === ranks && this.speeds.every((speed) => speed > 0)) return;
    throw new TrainerError({
      where: 'distributed.speeds',
      what: 'bad speeds',
      got: this.speeds.join(', '),
      expected: `a positive number for each of ${ranks} ranks`,
    });
  }

  /** Units of each rank, one at least. @throws TrainerError when there are fewer units than ranks */
  divide(units: number): readonly number[] {
    if (units < this.ranks) {
      throw new TrainerError({
        where: 'distributed',
        what: 'a step has fewer units than there are ranks',
        got: `${units} for ${this.ranks}`,
        expected: 'one sequence or more for each rank',
        hint: 'Use larger batches, or fewer ranks.',
      });
    }
    const isOld = this.current.reduce((sum, count) => sum + count, 0) === units;
    const best = this.best(units);
    if (!isOld || this.seconds(best) < this.seconds(this.current) * (1 - WORTHWHILE)) this.current = best;
    return this.current;
  }

  /** Takes in how long each rank took for its units. */
  observe(units: readonly number[], seconds: readonly number[]): void {
    if (!this.follows) return;
    const weight = Math.max(1 / ++this.observations, 1 / MEMORY);
    for (const [rank, time] of seconds.entries()) {
      const speed = units[rank] / Math.max(time, 1e-6);
      this.speeds[rank] += (speed - this.speeds[rank]) * weight;
    }
  }

  /** Seconds until the slowest rank is done. */
  private seconds(counts: readonly number[]): number {
    return Math.max(...counts.map((count, rank) => count / this.speeds[rank]));
  }

  private best(units: number): number[] {
    const exact = apportion(units, this.speeds);
    const limit = this.seconds(exact) * (1 + FOR_ROUND);
    for (let step = 2 ** Math.floor(Math.log2(units)); step > 1; step /= 2) {
      const round = roundCuts(exact, step);
      if (round.every((count) => count > 0) && this.seconds(round) <= limit) return round;
    }
    return exact;
  }
}

/** One unit for each rank, and each further one to whoever would be done with it first. */
function apportion(units: number, speeds: readonly number[]): number[] {
  const counts: number[] = new Array(speeds.length).fill(1);
  for (let left = units - speeds.length; left > 0; left--) {
    const times = counts.map((count, rank) => (count + 1) / speeds[rank]);
    counts[times.indexOf(Math.min(...times))]++;
  }
  return counts;
}

/** The same with all cuts between ranks at multiples of `step`. */
function roundCuts(counts: readonly number[], step: number): number[] {
  const units = counts.reduce((sum, count) => sum + count, 0);
  let [cut, before] = [0, 0];
  return counts.map((count, rank) => {
    cut += count;
    const to = rank === counts.length - 1 ? units : Math.round(cut / step) * step;
    const from = before;
    before = to;
    return to - from;
  });
}

/** First and last + 1 of the units of a rank. */
export function rangeOf(
  shares: readonly number[],
  rank: number,
): { readonly from: number; readonly to: number } {
  const from = shares.slice(0, rank).reduce((sum, count) => sum + count, 0);
  return { from, to: from + shares[rank] };
}
