import { type Backend, noGrad, scope, tensor } from '@frugal/tensor-core';

export interface SpreadErrorOptions {
  readonly backend?: Backend | undefined;
  /** Columns whose errors are spread at once to all columns behind them. */
  readonly blockSize?: number;
  /** Called before a block of columns, with the weights as the blocks before it left them. */
  begin?(start: number, end: number): void;
  /**
   * The value that takes the place of values[index] (column start + index of the row). Columns to the right, still in
   * `values`, have received the errors so far.
   */
  choose(row: number, start: number, values: Float32Array, index: number): number;
}

/**
 * Replaces the weights column by column with values of a smaller set (rounded, or zero), and spreads each error over
 * the columns that come later so that the layer's output changes least (optimal brain surgeon with a shared Hessian:
 * Frantar et al. 2022, arXiv:2210.17323, and 2023, arXiv:2301.00774). Works in place.
 * @param weight row-major [rows, columns]
 * @param factor from {@link inverseFactor}
 * @returns Σ ((w - q) / U_jj)² / 2, the predicted growth of the squared output error
 */
export async function spreadError(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  factor: Float32Array,
  { blockSize = 128, begin, choose, backend }: SpreadErrorOptions,
): Promise<number> {
  let loss = 0;
  const errors = new Float32Array(rows * Math.min(blockSize, columns));
  const right = new Float32Array(columns * Math.min(blockSize, columns));
  for (let start = 0; start < columns; start += blockSize) {
    const end = Math.min(columns, start + blockSize);
    const width = end - start;
    begin?.(start, end);
    const row = new Float32Array(width);
    for (let r = 0; r < rows; r++) {
      const at = r * columns + start;
      row.set(weight.subarray(at, at + width));
      for (let i = 0; i < width; i++) {
        const before = row[i];
        const chosen = choose(r, start, row, i);
        const diagonal = (start + i) * columns + start + i;
        const error = (before - chosen) / factor[diagonal];
        loss += (error * error) / 2;
        weight[at + i] = chosen;
        errors[r * width + i] = error;
        if (error === 0) continue;
        for (let k = i + 1; k < width; k++) row[k] -= error * factor[diagonal + k - i];
      }
    }
    if (end === columns) break;
    const rest = columns - end;
    for (let i = 0; i < width; i++) {
      const from = (start + i) * columns;
      right.set(factor.subarray(from + end, from + columns), i * rest);
    }
    await subtractProduct(
      weight.subarray(end),
      errors.subarray(0, rows * width),
      right.subarray(0, width * rest),
      { rows, width, rest, columns, backend },
    );
  }
  return loss;
}

interface Sizes {
  readonly rows: number;
  readonly width: number;
  readonly rest: number;
  /** Distance of the rows of the target. */
  readonly columns: number;
  readonly backend: Backend | undefined;
}

/** target[:, 0:rest] -= errors [rows, width] · right [width, rest]. */
async function subtractProduct(
  target: Float32Array,
  errors: Float32Array,
  right: Float32Array,
  { rows, width, rest, columns, backend }: Sizes,
): Promise<void> {
  const product = scope(() =>
    noGrad(() =>
      tensor(errors, { shape: [rows, width], backend }).matmul(
        tensor(right, { shape: [width, rest], backend }),
      ),
    ),
  );
  const change = await product.toFloat32();
  product.dispose();
  for (let r = 0; r < rows; r++) {
    const at = r * columns;
    for (let c = 0; c < rest; c++) target[at + c] -= change[r * rest + c];
  }
}
