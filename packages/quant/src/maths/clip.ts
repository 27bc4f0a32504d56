import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import type { Grid } from './grid.js';
import { roundTrip } from './round-trip.js';

export interface ClipOptions {
  readonly grid: Grid;
  /** f32 [columns, columns]: Σ x xᵀ of the layer's inputs. */
  readonly gram: Tensor;
  /** How many limits below a group's largest value are tried. */
  readonly steps?: number;
  /** The smallest of them, as a share of the largest value. */
  readonly least?: number;
}

export interface ClipResult {
  /** [rows, columns], row-major. */
  readonly weight: Float32Array;
  /** Share of the groups that were clipped. */
  readonly clipped: number;
  /** Σ over groups of d G dᵀ, d being what rounding changes in the group and G its part of the Gram matrix. */
  readonly error: number;
  /** The same without limits. */
  readonly errorBefore: number;
}

/**
 * Limits the values of each group of a row before they are rounded, so that the few largest ones are off by more and all
 * others by less (AWQ's search for clipping, Lin et al. 2023, arXiv:2306.00978, § 3.2). The limit is the one that changes the
 * group's share of the output least; groups are looked at one by one, so correlations between groups do not count.
 * @param weight row-major [rows, columns]; not changed
 */
export async function clipGroups(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  { grid, gram, steps = 10, least = 0.5 }: ClipOptions,
): Promise<ClipResult> {
  const shares = Array.from({ length: steps + 1 }, (_, i) => 1 - ((1 - least) * i) / steps);
  const out = weight.slice();
  const sums = { error: 0, errorBefore: 0, clipped: 0, groups: 0 };
  for (let start = 0; start < columns; start += grid.groupSize) {
    const width = Math.min(grid.groupSize, columns - start);
    const part = columnsOf(weight, rows, columns, start, width);
    const tried = shares.map((share) => limited(part, width, share));
    const errors = await roundingErrors(part, tried, [rows, width], start, { grid, gram });
    for (let r = 0; r < rows; r++) {
      let best = 0;
      for (let i = 1; i < shares.length; i++) if (errors[i * rows + r] < errors[best * rows + r]) best = i;
      out.set(tried[best].subarray(r * width, (r + 1) * width), r * columns + start);
      sums.error += errors[best * rows + r];
      sums.errorBefore += errors[r];
      sums.clipped += best > 0 ? 1 : 0;
      sums.groups++;
    }
  }
  const { error, errorBefore, clipped, groups } = sums;
  return { weight: out, clipped: clipped / groups, error, errorBefore };
}

function columnsOf(weight: Float32Array, rows: number, columns: number, start: number, width: number) {
  const part = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const from = r * columns + start;
    part.set(weight.subarray(from, from + width), r * width);
  }
  return part;
}

/** Rows with what lies beyond a share of their smallest and largest value brought back to it. */
function limited(part: Float32Array, width: number, share: number): Float32Array {
  if (share === 1) return part;
  const out = new Float32Array(part.length);
  for (let start = 0; start < part.length; start += width) {
    let [low, high] = [0, 0];
    for (let i = start; i < start + width; i++) {
      low = Math.min(low, part[i]);
      high = Math.max(high, part[i]);
    }
    // A symmetric grid reaches as far below zero as above it: only what is beyond the larger side's share is cut.
    const limit = share * Math.max(-low, high);
    for (let i = start; i < start + width; i++) out[i] = Math.max(-limit, Math.min(limit, part[i]));
  }
  return out;
}

/** d G dᵀ of each row and try, f32 [tries · rows]. */
async function roundingErrors(
  part: Float32Array,
  tried: readonly Float32Array[],
  [rows, width]: readonly [number, number],
  start: number,
  { grid, gram }: Pick<ClipOptions, 'grid' | 'gram'>,
): Promise<Float32Array> {
  const differences = new Float32Array(tried.length * part.length);
  for (const [i, values] of tried.entries()) {
    const rounded = roundTrip(values, [rows, width], grid);
    for (let k = 0; k < part.length; k++) differences[i * part.length + k] = rounded[k] - part[k];
  }
  const sums = scope(() =>
    noGrad(() => {
      const own = gram
        .slice(0, start, start + width)
        .slice(1, start, start + width)
        .contiguous();
      const d = tensor(differences, { shape: [tried.length * rows, width], backend: gram.backend });
      return d.matmul(own).mul(d).sum(1);
    }),
  );
  const values = await sums.toFloat32();
  sums.dispose();
  return values;
}
