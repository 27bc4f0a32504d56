import { type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import { type DType, isBlockDType, layoutOf } from '../dtypes.js';
import { toFloat32 } from '../numeric/convert.js';
import { entryOf, type TensorSource } from '../tensor-source.js';

/**
 * A tensor as rows of equal length, read piece by piece: what is converted, copied or looked at without being held
 * whole. A tensor of one axis is rows of one value, unless it is block-quantised: then it is one row.
 */
export interface StoredRows {
  readonly rows: number;
  readonly columns: number;
  /** How `readBytes` gives rows; null when only values can be had. */
  readonly dtype: DType | null;
  /** Whole rows as they are stored. Only for a `dtype` that is not null. */
  readBytes(rowStart: number, rowCount: number): Promise<Uint8Array>;
  /** Whole rows as f32. */
  readValues(rowStart: number, rowCount: number): Promise<Float32Array>;
}

/** Rows of a tensor of a file. */
export function storedRows(source: TensorSource, name: string): StoredRows {
  const { dtype, shape, byteLength } = entryOf(source, name);
  const isRow = shape.length < 2 && (isBlockDType(dtype) || layoutOf(dtype).elements > 1);
  const columns = shape.length > 1 ? shape[shape.length - 1] : isRow ? (shape[0] ?? 1) : 1;
  const rows = shape.slice(0, shape.length > 1 || isRow ? -1 : undefined).reduce((a, b) => a * b, 1);
  const rowBytes = rows === 0 ? 0 : byteLength / rows;
  const readBytes = (start: number, count: number) =>
    source.readRange(name, start * rowBytes, count * rowBytes);
  return {
    rows,
    columns,
    dtype,
    readBytes,
    readValues: async (start, count) => decodeRows(await readBytes(start, count), dtype, count, columns),
  };
}

/** Rows of a matrix that is packed in memory. */
export function packedRows(
  format: string,
  [rows, columns]: readonly [number, number],
  parts: readonly PartArray[],
): StoredRows {
  return {
    rows,
    columns,
    dtype: null,
    readBytes: () => Promise.reject(new Error('packed rows have no bytes of their own')),
    async readValues(rowStart, rowCount) {
      const values = new Float32Array(rowCount * columns);
      packedFormat(format).unpack(parts, { rows, columns, rowStart, rowCount }, values);
      return values;
    },
  };
}

/** The same rows in another order: within every `order.length` rows, row r is row `order[r]` of those. */
export function reorderedRows(stored: StoredRows, order: Int32Array): StoredRows {
  const { columns } = stored;
  const span = order.length;
  const reorder = <T extends Uint8Array | Float32Array>(
    source: T,
    start: number,
    count: number,
    width: number,
    first: number,
  ) => {
    const target = new (source.constructor as new (length: number) => T)(count * width);
    for (let r = 0; r < count; r++) {
      const row = start + r;
      const from = row - (row % span) + order[row % span] - first;
      target.set(source.subarray(from * width, (from + 1) * width), r * width);
    }
    return target;
  };
  /** The whole spans around a range. */
  const around = (start: number, count: number) => {
    const first = start - (start % span);
    return { first, total: Math.ceil((start + count) / span) * span - first };
  };
  return {
    ...stored,
    async readBytes(start, count) {
      const { first, total } = around(start, count);
      const bytes = await stored.readBytes(first, total);
      return reorder(bytes, start, count, bytes.byteLength / total, first);
    },
    async readValues(start, count) {
      const { first, total } = around(start, count);
      return reorder(await stored.readValues(first, total), start, count, columns, first);
    },
  };
}

/** Rows `rowStart` … of another. */
export function slicedRows(stored: StoredRows, rowStart: number, rows: number): StoredRows {
  return {
    ...stored,
    rows,
    readBytes: (start, count) => stored.readBytes(rowStart + start, count),
    readValues: (start, count) => stored.readValues(rowStart + start, count),
  };
}

/** Equal matrices one below the other: experts as one tensor. */
export function stackedRows(parts: readonly StoredRows[]): StoredRows {
  const [first] = parts;
  const collect = async <T extends Uint8Array | Float32Array>(
    start: number,
    count: number,
    read: (part: StoredRows, from: number, many: number) => Promise<T>,
    empty: () => T,
  ) => {
    const pieces: T[] = [];
    for (let row = start; row < start + count; ) {
      const inside = row % first.rows;
      const many = Math.min(first.rows - inside, start + count - row);
      pieces.push(await read(parts[Math.floor(row / first.rows)], inside, many));
      row += many;
    }
    return pieces.length === 1 ? pieces[0] : join(pieces, empty());
  };
  return {
    rows: first.rows * parts.length,
    columns: first.columns,
    dtype: parts.every(({ dtype }) => dtype === first.dtype) ? first.dtype : null,
    readBytes: (start, count) =>
      collect(
        start,
        count,
        (part, from, many) => part.readBytes(from, many),
        () => new Uint8Array(0),
      ),
    readValues: (start, count) =>
      collect(
        start,
        count,
        (part, from, many) => part.readValues(from, many),
        () => new Float32Array(0),
      ),
  };
}

/** The same values, each with `difference` added. */
export function shiftedRows(stored: StoredRows, difference: number): StoredRows {
  return {
    ...stored,
    dtype: null,
    readValues: async (start, count) =>
      (await stored.readValues(start, count)).map((value) => value + difference),
  };
}

function join<T extends Uint8Array | Float32Array>(pieces: readonly T[], empty: T): T {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const whole = new (empty.constructor as new (length: number) => T)(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function decodeRows(bytes: Uint8Array, dtype: DType, rows: number, columns: number): Float32Array {
  if (!isBlockDType(dtype)) return toFloat32(bytes, dtype);
  const values = new Float32Array(rows * columns);
  packedFormat(dtype.toLowerCase()).unpack([bytes], { rows, columns, rowStart: 0, rowCount: rows }, values);
  return values;
}
