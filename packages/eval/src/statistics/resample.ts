/** The middle 95 % of what a value may be. */
export type Interval = readonly [low: number, high: number];

export interface BootstrapOptions {
  /** Default 0.95. */
  readonly confidence?: number | undefined;
  /** Default 10,000. */
  readonly resamples?: number | undefined;
  /** Default 0. The same seed gives the same interval. */
  readonly seed?: number | undefined;
}

/**
 * Bootstrap interval of Σ values / Σ weights (Efron 1979): the values are drawn anew with replacement, each with its weight,
 * and the interval holds the middle of the ratios so found. NaN without values.
 */
export function bootstrapInterval(
  values: readonly number[],
  {
    confidence = 0.95,
    resamples = 10_000,
    seed = 0,
    weights,
  }: BootstrapOptions & { readonly weights?: readonly number[] } = {},
): Interval {
  if (values.length === 0) return [Number.NaN, Number.NaN];
  const next = uniform(seed);
  const draws = Float64Array.from({ length: resamples }, () => {
    let [sum, weight] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      const drawn = Math.floor(next() * values.length);
      sum += values[drawn];
      weight += weights ? weights[drawn] : 1;
    }
    return sum / weight;
  }).sort();
  const quantile = (share: number) =>
    draws[Math.min(resamples - 1, Math.max(0, Math.round(share * (resamples - 1))))];
  const outside = (1 - confidence) / 2;
  return [quantile(outside), quantile(1 - outside)];
}

/** Wilson's interval of a proportion (1927): holds for few items and for shares near 0 and 1. */
export function wilsonInterval(hits: number, of: number): Interval {
  if (of === 0) return [Number.NaN, Number.NaN];
  const z = 1.959963984540054;
  const p = hits / of;
  const middle = p + (z * z) / (2 * of);
  const spread = z * Math.sqrt((p * (1 - p)) / of + (z * z) / (4 * of * of));
  const scale = 1 + (z * z) / of;
  return [Math.max(0, (middle - spread) / scale), Math.min(1, (middle + spread) / scale)];
}

/** SplitMix32: numbers in [0, 1), the same everywhere. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
