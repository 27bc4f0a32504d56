export type ScaleType = 'linear' | 'log';

export interface Tick {
  readonly value: number;
  readonly label: string;
}

/** Maps values to pixels. */
export interface Scale {
  readonly domain: readonly [low: number, high: number];
  readonly ticks: readonly Tick[];
  position(value: number): number;
}

export interface ScaleOptions {
  readonly type?: ScaleType | undefined;
  /** Pixels of the two ends of the domain. */
  readonly range: readonly [number, number];
  /** About how many ticks there is room for. */
  readonly ticks: number;
  /** Extend the domain to the next round numbers. */
  readonly round?: boolean;
}

/** Whether a value can be drawn on such an axis. */
export function isDrawable(value: number, type: ScaleType = 'linear'): boolean {
  return Math.abs(value) < 1e300 && (type === 'linear' || value > 1e-300);
}

/** A scale over all drawable values. Without any, the domain is 0 to 1 (log: 1 to 10). */
export function createScale(values: Iterable<number>, options: ScaleOptions): Scale {
  const { type = 'linear', range, ticks: count, round = false } = options;
  let [low, high] = extent(values, type);
  let steps = type === 'log' ? logTicks(low, high, count, round) : linearTicks(low, high, count, round);
  if (round && steps.length > 1)
    [low, high] = [Math.min(low, steps[0]), Math.max(high, steps[steps.length - 1])];
  steps = steps.filter(
    (tick) => tick >= low * (1 - 1e-12 * Math.sign(low)) && tick <= high * (1 + 1e-12 * Math.sign(high)),
  );
  const transform = type === 'log' ? Math.log : (value: number) => value;
  const [start, end] = [transform(low), transform(high)];
  const position = (value: number) =>
    range[0] + ((transform(value) - start) / (end - start)) * (range[1] - range[0]);
  return { domain: [low, high], ticks: labelTicks(steps), position };
}

function extent(values: Iterable<number>, type: ScaleType): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!isDrawable(value, type)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return type === 'log' ? [1, 10] : [0, 1];
  if (high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high))) return [low, high];
  if (type === 'log') return [low / 2, high * 2];
  const margin = Math.abs(low) / 10 || 1;
  return [low - margin, high + margin];
}

/** Multiples of 1, 2 or 5 times a power of ten. */
function linearTicks(low: number, high: number, count: number, round: boolean): number[] {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const first = round ? Math.floor(low / step + 1e-9) : Math.ceil(low / step - 1e-9);
  const last = round ? Math.ceil(high / step - 1e-9) : Math.floor(high / step + 1e-9);
  const inverse = Math.round(1 / step); // exact decimals below 1: 3 / 10 and not 3 * 0.1
  return Array.from({ length: last - first + 1 }, (_, i) =>
    step < 1 ? (first + i) / inverse : (first + i) * step,
  );
}

/** Powers of ten, finer where there are fewer than two, evenly spaced below that. */
function logTicks(low: number, high: number, count: number, round: boolean): number[] {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const first = Math.floor(Math.log10(low) - 1e-9);
  const all: number[] = [];
  for (let power = first; power <= Math.log10(high) + 1; power++) {
    for (const factor of factors) all.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  const from = all.findLastIndex((tick) => tick <= low * (1 + 1e-9));
  const to = all.findIndex((tick) => tick >= high * (1 - 1e-9));
  const inside = all
    .slice(round ? from : 0, to < 0 ? undefined : to + 1)
    .filter((tick) => round || (tick >= low && tick <= high));
  if (inside.length < 3) return linearTicks(low, high, Math.min(count, 4), round).filter((tick) => tick > 0);
  const stride = Math.ceil(inside.length / Math.max(2, count + 1));
  const thinned = inside.filter((_, i) => i % stride === 0);
  if (round && thinned[thinned.length - 1] < high) thinned.push(thinned[thinned.length - 1] * 10 ** stride);
  return thinned;
}

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P'];

/** Labels with one prefix each and just enough digits to tell neighbours apart. */
function labelTicks(values: readonly number[]): Tick[] {
  return values.map((value, i) => {
    const neighbour = values[i === 0 ? 1 : i - 1] ?? 0;
    return { value, label: tickLabel(value, Math.abs(value - neighbour)) };
  });
}

function tickLabel(value: number, gap: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const sign = value < 0 ? '−' : '';
  if (size < 1e-4 || size >= 1e18)
    return sign + size.toExponential(1).replace(/\.0e/, 'e').replace('e+', 'e');
  const power = size < 10_000 ? 0 : Math.floor(Math.log10(size * (1 + 1e-9)) / 3);
  const scale = 1000 ** power;
  const decimals = Math.min(8, Math.max(0, -Math.floor(Math.log10((gap || size) / scale) + 1e-9)));
  const text = trimZeros((size / scale).toFixed(Math.max(decimals, digitsNeeded(size / scale))));
  const grouped = power === 0 ? text.replace(/^(\d)(\d{3})(?!\d)/, '$1,$2') : text;
  return `${sign}${grouped}${power > 0 ? ` ${PREFIXES[power]}` : ''}`;
}

/** 2.5 k needs a digit after the point even when its neighbour is 1 M away. */
function digitsNeeded(value: number): number {
  for (let digits = 0; digits < 4; digits++)
    if (Math.abs(value - Number(value.toFixed(digits))) < 1e-6 * value) return digits;
  return 0;
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}
