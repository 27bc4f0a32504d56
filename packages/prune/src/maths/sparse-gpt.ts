import { inverseFactor, spreadError } from '@frugal/compress';
import type { Tensor } from '@frugal/tensor-core';
import { dropLowest, type SparsityPattern } from './pattern.js';

export interface SparseGptOptions {
  readonly pattern: SparsityPattern;
  readonly damping?: number;
  readonly blockSize?: number;
}

export interface SparseGptResult {
  readonly weight: Float32Array;
  /** 1 = kept. */
  readonly mask: Uint8Array;
  readonly error: number;
  readonly damping: number;
}

/**
 * SparseGPT (Frantar & Alistarh 2023, arXiv:2301.00774): zeros the weights with the smallest w² / U_jj² of each block
 * of columns, and the remaining ones of the row make up for them.
 * @param weight [rows, columns], row-major; not changed
 * @param gram [columns, columns]: Σ x xᵀ
 * @throws NonFiniteError, ArgumentError for statistics that cannot be used
 */
export async function sparseGpt(
  weight: Float32Array,
  shape: readonly [number, number],
  gram: Tensor,
  { pattern, damping = 0.01, blockSize = 128 }: SparseGptOptions,
): Promise<SparseGptResult> {
  const [rows, columns] = shape;
  const { factor, dead, damping: used } = await inverseFactor(gram, damping);
  const values = weight.slice();
  for (const column of dead) for (let r = 0; r < rows; r++) values[r * columns + column] = 0;
  const diagonal = Float32Array.from({ length: columns }, (_, i) => factor[i * columns + i]);
  const mask = new Uint8Array(weight.length).fill(1);
  const group = pattern.kind === 'n:m' ? pattern.of : 0;
  const [scores, kept] = [new Float32Array(group), new Uint8Array(group)];
  const importance = (value: number, column: number) => (value / diagonal[column]) ** 2;
  const error = await spreadError(values, shape, factor, {
    blockSize,
    together: Math.max(1, group),
    backend: gram.backend,
    begin: (start, end) => {
      if (pattern.kind === 'unstructured')
        maskBlock(mask, [rows, columns, start, end], pattern.sparsity, (i) =>
          importance(values[i], i % columns),
        );
    },
    choose: (row, start, block, i) => {
      const at = row * columns + start + i;
      if (pattern.kind === 'n:m' && (start + i) % pattern.of === 0) {
        const count = Math.min(group, block.length - i);
        for (let k = 0; k < count; k++) scores[k] = importance(block[i + k], start + i + k);
        kept.fill(1);
        dropLowest(scores, kept, 0, count, pattern.of - pattern.kept);
        for (let k = 0; k < count; k++) mask[at + k] = kept[k];
      }
      return mask[at] ? block[i] : 0;
    },
  });
  return { weight: values, mask, error, damping: used };
}

/** The lowest share of the columns start … end - 1, compared over all rows together. */
function maskBlock(
  mask: Uint8Array,
  [rows, columns, start, end]: readonly [number, number, number, number],
  sparsity: number,
  importance: (index: number) => number,
): void {
  const width = end - start;
  const indexOf = (i: number) => Math.floor(i / width) * columns + start + (i % width);
  const scores = Float32Array.from({ length: rows * width }, (_, i) => importance(indexOf(i)));
  const kept = new Uint8Array(scores.length).fill(1);
  dropLowest(scores, kept, 0, scores.length, Math.floor(scores.length * sparsity));
  for (let i = 0; i < kept.length; i++) mask[indexOf(i)] = kept[i];
}
