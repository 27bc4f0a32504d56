import { type StoredRows, slicedRows, stackedRows } from '@frugal/checkpoint';

/** H heads, Dn numbers of a plain key, Dv of a value, R of the latent vector. */
export interface LatentSizes {
  readonly heads: number;
  readonly plainSize: number;
  readonly valueSize: number;
  readonly latentSize: number;
}

/**
 * How llama.cpp keeps the matrix [H · (Dn + Dv), R] that makes keys and values of latent vectors, ready for its absorbed
 * form: keys `attn_k_b` [H, R, Dn], transposed per head; values `attn_v_b` [H, Dv, R].
 */
export function splitLatent(
  both: StoredRows,
  { heads, plainSize, valueSize, latentSize }: LatentSizes,
): { readonly keys: StoredRows; readonly values: StoredRows } {
  const headRows = plainSize + valueSize;
  const perHead = (first: number, rows: number) =>
    Array.from({ length: heads }, (_, h) => slicedRows(both, h * headRows + first, rows));
  const keys = perHead(0, plainSize).map((part) => transposedRows(part, latentSize));
  return { keys: stackedRows(keys), values: stackedRows(perHead(plainSize, valueSize)) };
}

/** The other direction. Memory: one head. */
export function joinLatent(
  keys: StoredRows,
  values: StoredRows,
  { heads, plainSize, valueSize, latentSize }: LatentSizes,
): StoredRows {
  const headRows = plainSize + valueSize;
  const readHead = async (head: number) => {
    const whole = new Float32Array(headRows * latentSize);
    whole.set(transpose(await keys.readValues(head * latentSize, latentSize), latentSize, plainSize));
    whole.set(await values.readValues(head * valueSize, valueSize), plainSize * latentSize);
    return whole;
  };
  const readValues = async (start: number, count: number) => {
    const result = new Float32Array(count * latentSize);
    for (let row = start; row < start + count; ) {
      const head = Math.floor(row / headRows);
      const end = Math.min(start + count, (head + 1) * headRows);
      const part = (await readHead(head)).subarray(
        (row - head * headRows) * latentSize,
        (end - head * headRows) * latentSize,
      );
      result.set(part, (row - start) * latentSize);
      row = end;
    }
    return result;
  };
  const readBytes = async (start: number, count: number) => bytesOf(await readValues(start, count));
  return { rows: heads * headRows, columns: latentSize, dtype: 'F32', readBytes, readValues };
}

/** A small matrix with rows and columns exchanged. */
function transposedRows(stored: StoredRows, rows: number): StoredRows {
  const columns = stored.rows;
  const readValues = async (start: number, count: number) => {
    const whole = transpose(await stored.readValues(0, columns), columns, rows);
    return whole.subarray(start * columns, (start + count) * columns);
  };
  const isPlain = stored.dtype === 'F32';
  return {
    rows,
    columns,
    dtype: isPlain ? 'F32' : null,
    readBytes: async (start, count) => bytesOf(await readValues(start, count)),
    readValues,
  };
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) result[c * rows + r] = values[r * columns + c];
  return result;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
