import { concat, keep, scope, type Tensor } from '@frugal/tensor-core';
import type { Growing } from './statistics.js';

/** Rows of a strip, about: fewer compute less above the diagonal, and pack operands more often for it. */
const STRIP = 192;
/** Widths of strips are multiples of this, as products are cut into tiles. */
const TILE = 32;

/**
 * Σ x xᵀ over rows that come batch by batch. It is symmetric, so what is computed are strips of rows up to the diagonal: of
 * 576 columns two thirds of the products, of 1,536 columns 56 %. The bits are those of the whole product.
 */
export class GramSum implements Growing<Tensor> {
  /** Strip i: f32 [ends[i] - ends[i - 1], ends[i]], kept. */
  private constructor(
    private readonly strips: readonly Tensor[],
    private readonly ends: readonly number[],
  ) {}

  /** Of the rows of x, f32 [rows, C]. */
  static of(x: Tensor): GramSum {
    const ends = endsOfStrips(x.shape[1]);
    return new GramSum(
      ends.map((_, i) => stripOf(x, ends, i)),
      ends,
    );
  }

  add(x: Tensor): GramSum {
    const { strips, ends } = this;
    return new GramSum(
      strips.map((strip, i) => stripOf(x, ends, i, strip)),
      ends,
    );
  }

  /** f32 [C, C]. */
  finish(): Tensor {
    const { strips, ends } = this;
    const rows = strips.map((strip, i) => {
      const below = strips.slice(i + 1).map((later) => later.slice(1, ends[i - 1] ?? 0, ends[i]).transpose());
      return concat([strip, ...below], 1);
    });
    return concat(rows, 0);
  }

  dispose(): void {
    for (const strip of this.strips) strip.dispose();
  }
}

/** Strip i of the sum over the rows of x, and of what was summed before. */
function stripOf(x: Tensor, ends: readonly number[], i: number, before?: Tensor): Tensor {
  return keep(
    scope(() => {
      const own = x.slice(1, ends[i - 1] ?? 0, ends[i]).transpose();
      const sum = own.matmul(x.slice(1, 0, ends[i]));
      return before ? before.add(sum) : sum;
    }),
  );
}

function endsOfStrips(columns: number): number[] {
  const count = Math.max(1, Math.round(columns / STRIP));
  const width = Math.ceil(columns / count / TILE) * TILE;
  return Array.from({ length: Math.ceil(columns / width) }, (_, i) => Math.min(columns, (i + 1) * width));
}
