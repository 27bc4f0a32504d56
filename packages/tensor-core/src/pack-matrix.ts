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
