import { ArgumentError } from '@frugal/tensor-core';

/** Where zeros may lie: a share anywhere, or `zeros` of every `of` neighbouring columns (2:4 has 2 of 4). */
export type SparsityPattern =
  | { readonly kind: 'unstructured'; readonly sparsity: number }
  | { readonly kind: 'n:m'; readonly kept: number; readonly of: number };

/** `'2:4'` → 2 kept of 4; `0.5` → half of all. @throws ArgumentError */
export function parsePattern(pattern: number | string): SparsityPattern {
  if (typeof pattern === 'number' && pattern >= 0 && pattern < 1)
    return { kind: 'unstructured', sparsity: pattern };
  const [, kept, of] = /^(\d+):(\d+)$/.exec(String(pattern)) ?? [];
  if (Number(kept) > 0 && Number(kept) < Number(of))
    return { kind: 'n:m', kept: Number(kept), of: Number(of) };
  throw new ArgumentError({
    where: 'sparsity',
    what: 'not a pattern of zeros',
    got: String(pattern),
    expected: 'a share such as 0.5, or kept:of such as 2:4',
  });
}

/**
 * Marks the entries to zero in each row by their score: the lowest ones of the row, or of each group of `of` columns.
 * Equal scores: the later column goes. 1 = keep.
 * @param scores row-major [rows, columns]
 */
export function maskRows(
  scores: Float32Array,
  [rows, columns]: readonly [number, number],
  pattern: SparsityPattern,
): Uint8Array {
  const mask = new Uint8Array(scores.length).fill(1);
  const [width, dropped] =
    pattern.kind === 'n:m'
      ? [pattern.of, pattern.of - pattern.kept]
      : [columns, Math.floor(columns * pattern.sparsity)];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c += width) {
      const start = r * columns + c;
      dropLowest(scores, mask, start, Math.min(start + width, (r + 1) * columns), dropped);
    }
  }
  return mask;
}

/** Ranges up to this length are searched `count` times: quicker than a copy that is sorted. */
const SHORT = 16;

/**
 * Marks the `count` lowest scores of a range of a mask of ones. Equal scores: the later goes; NaN stays.
 */
export function dropLowest(
  scores: Float32Array,
  mask: Uint8Array,
  start: number,
  end: number,
  count: number,
): void {
  if (count <= 0) return;
  if (end - start <= SHORT) {
    for (let dropped = 0; dropped < count; dropped++) {
      let lowest = -1;
      for (let i = start; i < end; i++)
        if (mask[i] && (lowest < 0 ? scores[i] <= Infinity : scores[i] <= scores[lowest])) lowest = i;
      if (lowest < 0) return;
      mask[lowest] = 0;
    }
    return;
  }
  const sorted = scores.slice(start, end).sort();
  const threshold = sorted[Math.min(count, sorted.length) - 1];
  // Below the threshold all go; of those equal to it as many as are left to drop, from the end.
  let left = count;
  for (let i = start; i < end; i++) {
    if (scores[i] < threshold) {
      mask[i] = 0;
      left--;
    }
  }
  for (let i = end - 1; i >= start && left > 0; i--) {
    if (scores[i] === threshold && mask[i] === 1) {
      mask[i] = 0;
      left--;
    }
  }
}
