import { type PartArray, packedFormat } from '@frugal/tensor-core/formats';

/**
 * What is wrong with the indices among the parts of a matrix; null when nothing is. Kernels trust them: from a file they could
 * point anywhere.
 */
export function indexProblem(
  format: string,
  [rows, columns]: readonly [number, number],
  parts: readonly PartArray[],
): string | null {
  const infos = packedFormat(format).parts(rows, columns);
  const part = (wanted: string) => parts[infos.findIndex(({ name }) => name === wanted)];
  const order = part('order');
  if (order && !isPermutation(order)) return 'order is no permutation of the columns';
  const rowStarts = part('rowStarts');
  if (!rowStarts) return null;
  const width = Math.ceil(columns / 8);
  let total = 0;
  for (let r = 0; r < rows; r++) {
    if (rowStarts[r] !== total) return `rowStarts[${r}] is ${rowStarts[r]}, the bitmap says ${total}`;
    for (let i = 0; i < width; i++) total += bitCount(part('bitmap')[r * width + i]);
  }
  const kept = part('values').length;
  return rowStarts[rows] === total && kept === total ? null : `${kept} values, the bitmap says ${total}`;
}

function isPermutation(order: PartArray): boolean {
  const seen = new Uint8Array(order.length);
  for (const column of order) if (column >= 0 && column < seen.length) seen[column] = 1;
  return seen.every((flag) => flag === 1);
}

function bitCount(byte: number): number {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count++;
  return count;
}
