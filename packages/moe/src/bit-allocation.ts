import { ArgumentError } from '@frugal/tensor-core';

/** What an expert costs and loses in each of the formats that it could be stored in. */
export interface ExpertChoices {
  /** How often it is chosen, in any unit: its error counts by that. */
  readonly usage: number;
  /** Bytes in each format. */
  readonly bytes: readonly number[];
  /** Squared error of its output per use in each format. */
  readonly error: readonly number[];
}

export interface BitAllocation {
  /** Index of the format of each expert. */
  readonly formats: readonly number[];
  readonly bytes: number;
  /** Σ usage · error. */
  readonly error: number;
}

/**
 * The format of each expert so that all together fit into `budget` bytes and lose little: often used experts get more bits
 * (as Huang et al. 2024, arXiv:2410.06270). From the smallest formats on, the step that saves most usage-weighted error per
 * byte is taken while it fits; steps that a later one beats (not on the lower convex hull of error over bytes) are left out.
 * @throws ArgumentError when not even the smallest formats fit
 */
export function allocateBits(experts: readonly ExpertChoices[], budget: number): BitAllocation {
  const hulls = experts.map(hullOf);
  const chosen = hulls.map(() => 0);
  const total = (of: (expert: ExpertChoices, format: number) => number) =>
    experts.reduce((sum, expert, e) => sum + of(expert, hulls[e][chosen[e]]), 0);
  let bytes = total((expert, format) => expert.bytes[format]);
  if (!(bytes <= budget))
    throw new ArgumentError({
      where: 'allocateBits',
      what: 'the experts do not fit even in their smallest formats',
      got: `${budget} bytes`,
      expected: `at least ${bytes}`,
    });
  for (;;) {
    let best: { e: number; gain: number; cost: number } | null = null;
    for (const [e, hull] of hulls.entries()) {
      if (chosen[e] + 1 >= hull.length) continue;
      const [from, to] = [hull[chosen[e]], hull[chosen[e] + 1]];
      const { usage, bytes: sizes, error } = experts[e];
      const cost = sizes[to] - sizes[from];
      const gain = (usage * (error[from] - error[to])) / cost;
      if (gain > 0 && bytes + cost <= budget && (!best || gain > best.gain)) best = { e, gain, cost };
    }
    if (!best) break;
    chosen[best.e]++;
    bytes += best.cost;
  }
  return {
    formats: chosen.map((place, e) => hulls[e][place]),
    bytes,
    error: total(({ usage, error }, format) => usage * error[format]),
  };
}

/** Formats on the lower convex hull of error over bytes, from the smallest on. */
function hullOf({ bytes, error }: ExpertChoices): number[] {
  const order = [...bytes.keys()].sort((a, b) => bytes[a] - bytes[b] || error[a] - error[b]);
  const hull: number[] = [];
  const slope = (a: number, b: number) => (error[b] - error[a]) / (bytes[b] - bytes[a]);
  for (const format of order) {
    if (hull.length > 0 && error[format] >= error[hull[hull.length - 1]]) continue;
    while (
      hull.length > 1 &&
      slope(hull[hull.length - 2], hull[hull.length - 1]) >= slope(hull[hull.length - 1], format)
    )
      hull.pop();
    hull.push(format);
  }
  return hull;
}
