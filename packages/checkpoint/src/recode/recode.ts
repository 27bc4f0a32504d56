import { packedFormat } from '@frugal/tensor-core/formats';
import { type DType, isBlockDType } from '../dtypes.js';
import { fromFloat32 } from '../numeric/convert.js';
import type { TensorInput } from '../tensor-input.js';
import type { StoredRows } from './stored-rows.js';

/** About how many values are held as f32 at a time. */
const TILE_VALUES = 2 ** 20;

/**
 * A tensor to be written in `dtype`, made from rows when its turn comes, a few at a time. Rows that have this dtype
 * already are copied, not decoded. `shape` has as many values as the rows.
 */
export function recodedInput(
  name: string,
  shape: readonly number[],
  stored: StoredRows,
  dtype: DType,
): TensorInput {
  return { name, dtype, shape, bytes: () => recode(stored, dtype) };
}

async function* recode(stored: StoredRows, dtype: DType): AsyncGenerator<Uint8Array> {
  const { rows, columns } = stored;
  const step = Math.max(1, Math.floor(TILE_VALUES / Math.max(1, columns)));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    if (stored.dtype === dtype) yield await stored.readBytes(row, count);
    else yield encodeRows(await stored.readValues(row, count), dtype, count, columns);
  }
}

function encodeRows(values: Float32Array, dtype: DType, rows: number, columns: number): Uint8Array {
  if (!isBlockDType(dtype)) return fromFloat32(values, dtype);
  return packedFormat(dtype.toLowerCase()).pack(values, rows, columns)[0] as Uint8Array;
}
