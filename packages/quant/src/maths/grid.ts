import { roundHalfEven } from '@frugal/tensor-core/formats';

/** Evenly spaced values that a group of weights may take: value = (code - zero) · scale, code in 0..2^bits - 1. */
export interface Grid {
  readonly bits: number;
  /** Columns that share a scale. */
  readonly groupSize: number;
  /** false: zero lies at the middle code; true: each group has a zero point of its own. */
  readonly zeroPoint: boolean;
  /** Rounds a scale to the dtype that the file will hold, so that codes fit the scale that is read back. */
  readonly roundScale?: (scale: number) => number;
}

/** Scales and zero points of all groups of a matrix, row-major [rows, groups]. */
export interface GroupParameters {
  readonly scales: Float32Array;
  readonly zeros: Uint8Array;
  readonly groups: number;
}

export function groupParameters(rows: number, columns: number, { groupSize }: Grid): GroupParameters {
  const groups = Math.ceil(columns / groupSize);
  return { scales: new Float32Array(rows * groups), zeros: new Uint8Array(rows * groups), groups };
}

/**
 * Fits the grid of one group to the values' range.
 * Symmetric: scale = 2 max|w| / (2^bits - 1), as in GPTQ and compressed-tensors; a group of zeros has scale 1.
 */
export function fitGroup(
  values: Float32Array,
  start: number,
  end: number,
  { bits, zeroPoint, roundScale = Math.fround }: Grid,
): { readonly scale: number; readonly zero: number } {
  let low = 0;
  let high = 0;
  for (let i = start; i < end; i++) {
    if (values[i] < low) low = values[i];
    else if (values[i] > high) high = values[i];
  }
  if (!zeroPoint) {
    high = Math.max(-low, high);
    low = -high;
  }
  const last = 2 ** bits - 1;
  const exact = (high - low) / last;
  const scale = exact > 0 ? roundScale(exact) || exact : 1;
  const zero = zeroPoint ? Math.max(0, Math.min(last, roundHalfEven(-low / scale))) : 2 ** (bits - 1);
  return { scale, zero };
}

export function codeOf(value: number, scale: number, zero: number, last: number): number {
  return Math.max(0, Math.min(last, roundHalfEven(Math.fround(value / scale)) + zero));
}

/** Fits the groups of the columns start … end - 1 of every row. */
export function fitColumns(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  grid: Grid,
  { scales, zeros, groups }: GroupParameters,
  [start, end]: readonly [number, number] = [0, columns],
): void {
  const { groupSize } = grid;
  for (let row = 0; row < rows; row++) {
    for (let group = Math.ceil(start / groupSize); group * groupSize < end; group++) {
      const from = row * columns + group * groupSize;
      const to = row * columns + Math.min(columns, (group + 1) * groupSize);
      const { scale, zero } = fitGroup(weight, from, to, grid);
      scales[row * groups + group] = scale;
      zeros[row * groups + group] = zero;
    }
  }
}
