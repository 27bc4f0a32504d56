/** How the numbers of a column or an axis are written. */
export interface NumberStyle {
  /** Written after the number: `tok/s`, `s`, `%`. */
  readonly unit?: string | undefined;
  /** Digits after the point; the number is then written in full. */
  readonly decimals?: number | undefined;
  /** Significant digits with SI prefixes (`2.48 M`); default 3. Ignored with `decimals`. */
  readonly digits?: number | undefined;
}

const PREFIXES: readonly (readonly [exponent: number, prefix: string])[] = [
  [15, 'P'],
  [12, 'T'],
  [9, 'G'],
  [6, 'M'],
  [3, 'k'],
  [0, ''],
  [-3, 'm'],
  [-6, 'µ'],
  [-9, 'n'],
];
const MINUS = '−';
const SPACE = ' ';

/**
 * A number as people read it: `1,515`, `2.48 M`, `18.2 k`, `3.1 ms`. NaN and infinities stay visible as words.
 */
export function formatNumber(value: number, { unit = '', decimals, digits = 3 }: NumberStyle = {}): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : `${MINUS}∞`;
  const sign = value < 0 ? MINUS : '';
  const size = Math.abs(value);
  if (decimals !== undefined) return withUnit(signed(sign, groupThousands(size.toFixed(decimals))), '', unit);
  const { text, prefix } = withPrefix(size, digits, unit);
  return withUnit(signed(sign, text), prefix, unit);
}

/** Bytes in powers of 1000, as disks and download pages count: `9.92 MB`. */
export function formatBytes(bytes: number, digits = 3): string {
  return formatNumber(bytes, { unit: 'B', digits });
}

/** `0.42 s`, `7.3 s`, `4 min 05 s`, `1 h 02 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || Math.abs(seconds) < 60) return formatNumber(seconds, { unit: 's' });
  const sign = seconds < 0 ? MINUS : '';
  const whole = Math.round(Math.abs(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  if (hours > 0) return `${sign}${hours}${SPACE}h ${two(minutes)}${SPACE}min`;
  return `${sign}${minutes}${SPACE}min ${two(whole % 60)}${SPACE}s`;
}

/** Relative change in percent with its sign: `+0.42 %`, `−12 %`. */
export function formatChange(before: number, after: number): string {
  const percent = (100 * (after - before)) / before;
  const text = formatNumber(percent, { unit: '%' });
  return percent > 0 ? `+${text}` : text;
}

function withPrefix(size: number, digits: number, unit: string): { text: string; prefix: string } {
  if (size === 0) return { text: '0', prefix: '' };
  // Whole numbers below 10,000 without a unit are counts: people want all of their digits.
  if (unit === '' && Number.isInteger(size) && size < 10_000)
    return { text: groupThousands(String(size)), prefix: '' };
  // Small numbers get prefixes in seconds alone: nobody reads millitokens.
  const smallest = unit === 's' ? -9 : 0;
  const largest = unit === '%' ? 0 : 15;
  const usable = PREFIXES.filter(([exponent]) => exponent >= smallest && exponent <= largest);
  const rounded = Number(size.toPrecision(digits));
  const [exponent, prefix] = usable.find(([power]) => rounded >= 10 ** power) ?? usable[usable.length - 1];
  const scaled = size / 10 ** exponent;
  if (Number.isInteger(scaled) && scaled < 1000) return { text: String(scaled), prefix };
  return { text: plain(scaled, digits), prefix };
}

/** Significant digits without an exponent; tiny numbers are the exception. */
function plain(value: number, digits: number): string {
  if (value < 1e-6) return value.toExponential(Math.max(0, digits - 1));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Number(value.toPrecision(digits)))));
  return groupThousands(Number(value.toPrecision(digits)).toFixed(Math.min(20, decimals)));
}

function groupThousands(text: string): string {
  const [whole, fraction] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

function signed(sign: string, digits: string): string {
  return /[1-9]/.test(digits) ? sign + digits : digits; // no minus zero
}

function withUnit(number: string, prefix: string, unit: string): string {
  // kB and ms are one word, but 18.2 k tok/s are not kilotokens.
  const suffix = prefix && /^[a-z]{2}/.test(unit) ? `${prefix}${SPACE}${unit}` : prefix + unit;
  return suffix === '' ? number : `${number}${SPACE}${suffix}`;
}
