import type { Backend } from './backend.js';
import { type PackOptions, type PartArray, packedFormat } from './formats/index.js';

/**
 * The parts of a packed matrix [rows, columns] as plain arrays: by the backend where it packs this format, else by the
 * format itself, which takes microseconds for each value where scales are searched. The bytes are the same.
 */
export function packMatrix(
  format: string,
  values: Float32Array,
  [rows, columns]: readonly [rows: number, columns: number],
  backend: Backend,
  options: PackOptions = {},
): readonly PartArray[] {
  return (
    backend.pack?.(format, values, columns, options) ??
    packedFormat(format).pack(values, rows, columns, options)
  );
}

/** f32 rows rowStart … rowStart + rowCount - 1 of a matrix, row-major. */
export type RowReader = (rowStart: number, rowCount: number) => Promise<Float32Array>;

/** Values that are held in floats at once. */
const TILE_VALUES = 2 ** 23;

/**
 * {@link packMatrix} of a matrix that is read some rows at a time, so that of a large one no copy in floats is made: where the
 * format packs row by row, else as a whole. The bytes are the same.
 */
export async function packRows(
  format: string,
  read: RowReader,
  [rows, columns]: readonly [rows: number, columns: number],
  backend: Backend,
  options: PackOptions = {},
): Promise<readonly PartArray[]> {
  const tile = packedFormat(format).rowByRow ? Math.max(1, Math.floor(TILE_VALUES / columns)) : rows;
  if (tile >= rows) return packMatrix(format, await read(0, rows), [rows, columns], backend, options);
  let whole: PartArray[] = [];
  for (let row = 0; row < rows; row += tile) {
    const count = Math.min(tile, rows - row);
    const parts = packMatrix(format, await read(row, count), [count, columns], backend, options);
    if (row === 0) whole = parts.map((part) => likeOf(part, (part.length / count) * rows));
    for (const [i, part] of parts.entries()) whole[i].set(part, (part.length / count) * row);
  }
  return whole;
}

function likeOf(array: PartArray, length: number): PartArray {
  return new (array.constructor as new (length: number) => PartArray)(length);
}
