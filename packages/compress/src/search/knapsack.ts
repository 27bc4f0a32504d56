/** What one of several things to choose costs: both are summed over the units. */
export interface PricedChoice {
  readonly bytes: number;
  readonly loss: number;
}

/** One choice for each unit. */
export interface Allocation {
  /** Index of the choice of each unit. */
  readonly picks: readonly number[];
  readonly bytes: number;
  readonly loss: number;
}

/** Budgets that are told apart. Sizes are rounded up to them, so what a table promises fits. */
const BUCKETS = 2 ** 15;

/**
 * The multiple-choice knapsack: which choice of each unit makes the sum of losses smallest within a budget of bytes. One
 * table of dynamic programming, O(units · choices · budgets), answers all budgets.
 */
export class Knapsack {
  readonly smallest: Allocation;
  readonly largest: Allocation;
  private readonly bucket: number;
  /** For each unit: the pick that is best within a budget, of the units before it and itself. */
  private readonly picks: readonly Uint8Array[];

  /** @param units none of them empty, with at most 255 choices */
  constructor(private readonly units: readonly (readonly PricedChoice[])[]) {
    this.smallest = this.price(units.map((choices) => best(choices, ({ bytes }) => bytes)));
    this.largest = this.price(
      units.map((choices) =>
        best(
          choices,
          ({ loss }) => loss,
          ({ bytes }) => bytes,
        ),
      ),
    );
    this.bucket = Math.max(1, (this.largest.bytes - this.smallest.bytes) / BUCKETS);
    this.picks = this.solve();
  }

  /** Null when even the smallest choices do not fit. */
  within(budget: number): Allocation | null {
    if (budget < this.smallest.bytes) return null;
    if (budget >= this.largest.bytes) return this.largest;
    let left = Math.floor((budget - this.smallest.bytes) / this.bucket);
    const picks: number[] = [];
    for (let unit = this.units.length - 1; unit >= 0; unit--) {
      const pick = this.picks[unit][left];
      picks[unit] = pick;
      left -= this.steps(unit, pick);
    }
    return this.fill(picks, budget);
  }

  /** Allocations from the smallest to the largest, at budgets in equal proportions; none is beaten by one before it. */
  frontier(count: number): Allocation[] {
    const found: Allocation[] = [];
    for (let i = 0; i <= count; i++) {
      const [least, most] = [Math.max(1, this.smallest.bytes), this.largest.bytes];
      const budget = i === count ? most : least * (most / least) ** (i / count);
      const next = this.within(Math.max(this.smallest.bytes, budget));
      const last = found[found.length - 1];
      if (next && (!last || (next.loss < last.loss && next.bytes > last.bytes))) found.push(next);
    }
    return found;
  }

  price(picks: readonly number[]): Allocation {
    const chosen = picks.map((pick, unit) => this.units[unit][pick]);
    const sum = (key: keyof PricedChoice) => chosen.reduce((total, choice) => total + choice[key], 0);
    return { picks, bytes: sum('bytes'), loss: sum('loss') };
  }

  /** Steps of the budget that a choice takes beyond the smallest one of its unit. */
  private steps(unit: number, pick: number): number {
    const smallest = this.units[unit][this.smallest.picks[unit]].bytes;
    return Math.ceil((this.units[unit][pick].bytes - smallest) / this.bucket);
  }

  private solve(): Uint8Array[] {
    let before = new Float64Array(BUCKETS + 1);
    return this.units.map((choices, unit) => {
      const losses = new Float64Array(BUCKETS + 1).fill(Number.POSITIVE_INFINITY);
      const picks = new Uint8Array(BUCKETS + 1);
      for (const [pick, { loss }] of choices.entries()) {
        const steps = this.steps(unit, pick);
        for (let budget = steps; budget <= BUCKETS; budget++) {
          const total = before[budget - steps] + loss;
          if (total >= losses[budget]) continue;
          losses[budget] = total;
          picks[budget] = pick;
        }
      }
      before = losses;
      return picks;
    });
  }

  /** Rounding up leaves some bytes: as long as a better choice fits, the one that gains most per byte is taken. */
  private fill(picks: number[], budget: number): Allocation {
    for (;;) {
      const now = this.price(picks);
      let found: { unit: number; pick: number; gain: number } | null = null;
      for (const [unit, choices] of this.units.entries()) {
        const current = choices[picks[unit]];
        for (const [pick, { bytes, loss }] of choices.entries()) {
          const more = bytes - current.bytes;
          if (loss >= current.loss || now.bytes + more > budget) continue;
          const gain = (current.loss - loss) / Math.max(more, 1);
          if (!found || gain > found.gain) found = { unit, pick, gain };
        }
      }
      if (!found) return now;
      picks[found.unit] = found.pick;
    }
  }
}

/** Index of the choice with the smallest value; among equal ones that with the smallest second value, then the first. */
function best(
  choices: readonly PricedChoice[],
  first: (choice: PricedChoice) => number,
  second: (choice: PricedChoice) => number = ({ loss }) => loss,
): number {
  return [...choices.keys()].reduce((a, b) => {
    const order = first(choices[b]) - first(choices[a]) || second(choices[b]) - second(choices[a]);
    return order < 0 ? b : a;
  });
}
