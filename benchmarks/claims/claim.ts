/** How far a claim of the article holds here. */
export type Verdict = 'holds' | 'holds in part' | 'does not hold';

/** One measured value beside what the article says. */
export interface Claim {
  /** What the article says, in its words or ours. */
  readonly claim: string;
  /** What stands for it here: model, task, unit. */
  readonly measure: string;
  /** What the article promises. */
  readonly promised: string;
  readonly value: number;
  readonly unit: string;
  /** 95 % interval or range of repeats, where there are several. */
  readonly interval?: readonly [low: number, high: number];
  readonly verdict: Verdict;
  /** At what quality, and by how much it does not hold. */
  readonly note: string;
  readonly command: string;
  /** Costs as a share of those of the other side, in percent: a bar of the picture. */
  readonly bar?: { readonly label: string; readonly remains: number; readonly promised: number | null };
}

/** `−62.3 %`, `0.0412 bits/byte`: with a sign where it is a change. */
export function formatValue(value: number, unit: string): string {
  const digits = unit === '%' ? (Math.abs(value) < 10 ? 2 : 1) : Math.abs(value) >= 100 ? 0 : 3;
  const sign = unit === '%' && value > 0 ? '+' : '';
  const text = value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: 0 });
  return `${sign}${text.replace('-', '−')} ${unit}`;
}

/** Change of a against b, in percent. */
export const changeOf = (a: number, b: number): number => (100 * (a - b)) / b;
