import { firstNotFinite, packedFormat } from '@frugal/tensor-core/formats';
import { type DType, isBlockDType } from '../dtypes.js';
import { ConversionError } from '../errors.js';
import { fromFloat32 } from '../numeric/convert.js';
import type { TensorInput } from '../tensor-input.js';
import type { StoredRows } from './stored-rows.js';

/** About how many values are held as f32 at a time. */
const TILE_VALUES = 2 ** 20;

/**
 * A tensor to be written in `dtype`, made from rows when its turn comes, a few at a time. Rows that have this dtype
 * already are copied, not decoded. `shape` has as many values as the rows.
 * Its bytes throw a ConversionError for an infinity or NaN that the codes of a block format cannot hold.
 */
export function recodedInput(
  name: string,
  shape: readonly number[],
  stored: StoredRows,
  dtype: DType,
): TensorInput {
  return { name, dtype, shape, bytes: () => recode(name, stored, dtype) };
}

async function* recode(name: string, stored: StoredRows, dtype: DType): AsyncGenerator<Uint8Array> {
  const { rows, columns } = stored;
  const step = Math.max(1, Math.floor(TILE_VALUES / Math.max(1, columns)));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    if (stored.dtype === dtype) yield await stored.readBytes(row, count);
    else {
      const values = await stored.readValues(row, count);
      if (isBlockDType(dtype)) refuseNotFinite(name, values, dtype, row, columns);
      yield encodeRows(values, dtype, count, columns);
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

function encodeRows(values: Float32Array, dtype: DType, rows: number, columns: number): Uint8Array {
  if (!isBlockDType(dtype)) return fromFloat32(values, dtype);
  return packedFormat(dtype.toLowerCase()).pack(values, rows, columns)[0] as Uint8Array;
}
