import { type Backend, noGrad, scope, tensor } from '@frugal/tensor-core';

export interface SpreadErrorOptions {
  readonly backend?: Backend | undefined;
  /** Columns whose errors are spread at once to all columns behind them. */
  readonly blockSize?: number;
  /** Columns that are chosen together: no block ends between them. */
  readonly together?: number;
  /** Called before a block of columns, with the weights as the blocks before it left them. */
  begin?(start: number, end: number): void;
  /**
   * The value that takes the place of values[index] (column start + index of the row). Columns to the right, still in
   * `values`, have received the errors so far.
   */
  choose(row: number, start: number, values: Float32Array, index: number): number;
}

/** Columns whose errors are spread one by one: the rest of a block gets them as a product, which is quicker. */
const STRIP = 32;

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
  shape: readonly [number, number],
  factor: Float32Array,
  { blockSize = 128, together = 1, begin, choose, backend }: SpreadErrorOptions,
): Promise<number> {
  const columns = shape[1];
  const whole = (size: number) => Math.max(1, Math.floor(size / together)) * together;
  const [blockWidth, stripWidth] = [whole(blockSize), whole(Math.min(STRIP, blockSize))];
  const work = { weight, shape, factor, backend, errors: new Float32Array(shape[0] * blockWidth) };
  let loss = 0;
  for (let start = 0; start < columns; start += blockWidth) {
    const block = { start, end: Math.min(columns, start + blockWidth) };
    begin?.(block.start, block.end);
    for (let at = start; at < block.end; at += stripWidth) {
      const strip = { start: at, end: Math.min(block.end, at + stripWidth) };
      loss += spreadWithin(work, strip, block, choose);
      await subtractProduct(work, strip, block, [strip.end, block.end]);
    }
    await subtractProduct(work, block, block, [block.end, columns]);
  }
  return loss;
}

interface Work {
  readonly weight: Float32Array;
  readonly shape: readonly [number, number];
  readonly factor: Float32Array;
  readonly backend: Backend | undefined;
  /** (w - q) / U_jj of the columns of a block, row-major [rows, columns of the block]. */
  readonly errors: Float32Array;
}

/** Columns start … end - 1. */
interface Columns {
  readonly start: number;
  readonly end: number;
}

/** Chooses the values of a strip of columns, each error spread to those of the strip that follow. Returns its part of the loss. */
function spreadWithin(
  { weight, shape: [rows, columns], factor, errors }: Work,
  { start, end }: Columns,
  block: Columns,
  choose: SpreadErrorOptions['choose'],
): number {
  const width = end - start;
  const row = new Float32Array(width);
  let loss = 0;
  for (let r = 0; r < rows; r++) {
    const at = r * columns + start;
    const toError = r * (block.end - block.start) + start - block.start;
    row.set(weight.subarray(at, at + width));
    for (let i = 0; i < width; i++) {
      const before = row[i];
      const chosen = choose(r, start, row, i);
      const diagonal = (start + i) * columns + start + i;
      const error = (before - chosen) / factor[diagonal];
      loss += (error * error) / 2;
      weight[at + i] = chosen;
      errors[toError + i] = error;
      if (error === 0) continue;
      for (let k = i + 1; k < width; k++) row[k] -= error * factor[diagonal + k - i];
    }
  }
  return loss;
}

/** Subtracts from the columns first … last - 1 of the weight what the errors of some columns of a block cause there. */
async function subtractProduct(
  { weight, shape: [rows, columns], factor, backend, errors }: Work,
  from: Columns,
  block: Columns,
  [first, last]: readonly [number, number],
): Promise<void> {
  const [width, rest] = [from.end - from.start, last - first];
  if (rest <= 0) return;
  const right = new Float32Array(width * rest);
  for (let i = 0; i < width; i++) {
    const at = (from.start + i) * columns;
    right.set(factor.subarray(at + first, at + last), i * rest);
  }
  const blockWidth = block.end - block.start;
  const product = scope(() =>
    noGrad(() => {
      const whole = tensor(errors.subarray(0, rows * blockWidth), { shape: [rows, blockWidth], backend });
      const left = whole.slice(1, from.start - block.start, from.end - block.start);
      return left.matmul(tensor(right, { shape: [width, rest], backend }));
    }),
  );
  const change = await product.toFloat32();
  product.dispose();
  for (let r = 0; r < rows; r++) {
    const at = r * columns + first;
    for (let c = 0; c < rest; c++) weight[at + c] -= change[r * rest + c];
  }
}
