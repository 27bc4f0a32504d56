import { firstNotFinite, type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import { type DType, isBlockDType } from '../dtypes.js';
import { ConversionError } from '../errors.js';
import { fromFloat32 } from '../numeric/convert.js';
import type { TensorInput } from '../tensor-input.js';
import type { StoredRows } from './stored-rows.js';

/** About how many values are held as f32 at a time. */
const TILE_VALUES = 2 ** 20;

/** Packs f32 rows, as {@link packedFormat}'s `pack` does. */
export type PackRows = (
  format: string,
  values: Float32Array,
  shape: readonly [rows: number, columns: number],
) => readonly PartArray[];

const packByFormat: PackRows = (format, values, [rows, columns]) =>
  packedFormat(format).pack(values, rows, columns);

/**
 * A tensor to be written in `dtype`, made from rows when its turn comes, a few at a time. Rows that have this dtype
 * already are copied, not decoded. `shape` has as many values as the rows. `pack` may be a faster way to the same bytes.
 * Its bytes throw a ConversionError for an infinity or NaN that the codes of a block format cannot hold.
 */
export function recodedInput(
  name: string,
  shape: readonly number[],
  stored: StoredRows,
  dtype: DType,
  pack: PackRows = packByFormat,
): TensorInput {
  return { name, dtype, shape, bytes: () => recode(name, stored, dtype, pack) };
}

async function* recode(
  name: string,
  stored: StoredRows,
  dtype: DType,
  pack: PackRows,
): AsyncGenerator<Uint8Array> {
  const { rows, columns } = stored;
  const step = Math.max(1, Math.floor(TILE_VALUES / Math.max(1, columns)));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    if (stored.dtype === dtype) yield await stored.readBytes(row, count);
    else {
      const values = await stored.readValues(row, count);
      if (!isBlockDType(dtype)) yield fromFloat32(values, dtype);
      else {
        refuseNotFinite(name, values, dtype, row, columns);
        yield pack(dtype.toLowerCase(), values, [count, columns])[0] as Uint8Array;
      }
    }
  }
}

function refuseNotFinite(
  name: string,
  values: Float32Array,
  dtype: DType,
  firstRow: number,
  columns: number,
): void {
  const bad = firstNotFinite(values);
  if (bad < 0) return;
  throw new ConversionError({
    where: name,
    what: `a value that ${dtype} cannot hold in row ${firstRow + Math.floor(bad / columns)}, column ${bad % columns}`,
    got: String(values[bad]),
    expected: 'finite numbers',
    hint: 'The checkpoint is damaged or its training diverged: take an earlier one.',
  });
}
