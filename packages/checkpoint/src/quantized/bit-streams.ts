import { packedLength, readCode, writeCode } from '@frugal/tensor-core/formats';

/** Code number `index` of a stream of 32-bit words, lowest bits first; codes may lie across two words. */
export function codeAt(word: (index: number) => number, index: number, bits: number): number {
  const bit = index * bits;
  const shift = bit % 32;
  const at = (bit - shift) / 32;
  const low = word(at) >>> shift;
  const high = shift + bits > 32 ? word(at + 1) << (32 - shift) : 0;
  return (low | high) & (2 ** bits - 1);
}

/** Codes of a matrix [rows, columns], one byte each, as the rows of bits that integer groups have. */
export function packCodes(codes: Uint8Array, rows: number, columns: number, bits: number): Uint8Array {
  if (bits === 8) return codes;
  const length = packedLength(columns, bits);
  const packed = new Uint8Array(rows * length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) writeCode(packed, r * length, c, bits, codes[r * columns + c]);
  return packed;
}

/**
 * Codes of a matrix [count, width], one byte each, as words [count · bits / 32, width]: the codes of each column are one
 * stream of bits, as {@link codeAt} reads them. count · bits must be a multiple of 32.
 */
export function streamOfCodes(codes: Uint8Array, count: number, width: number, bits: number): Uint32Array {
  const words = new Uint32Array(((count * bits) / 32) * width);
  for (let i = 0; i < count; i++) {
    const shift = (i * bits) % 32;
    const at = ((i * bits - shift) / 32) * width;
    for (let w = 0; w < width; w++) {
      const code = codes[i * width + w];
      words[at + w] |= code << shift;
      if (shift + bits > 32) words[at + width + w] |= code >>> (32 - shift);
    }
  }
  return words;
}

/** What {@link packCodes} has packed, one byte each. */
export function unpackCodes(packed: Uint8Array, rows: number, columns: number, bits: number): Uint8Array {
  const length = packedLength(columns, bits);
  const codes = new Uint8Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) codes[r * columns + c] = readCode(packed, r * length, c, bits);
  return codes;
}

/** Rows [R, C] as columns [C, R]. */
export function transposed<T extends Uint8Array | Uint16Array | Uint32Array | Float32Array>(
  values: T,
  rows: number,
  columns: number,
): T {
  const result = new (values.constructor as new (length: number) => T)(values.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) result[c * rows + r] = values[r * columns + c];
  return result;
}

/**
 * The order in which columns of equal group stand side by side, for checkpoints quantised in the order of activation
 * sizes; null when they stand so already. Throws when groups differ in size, which no packed format holds.
 */
export function orderOfGroups(groups: Int32Array, groupSize: number): Int32Array | null {
  const inOrder = groups.every((group, column) => group === Math.floor(column / groupSize));
  if (inOrder) return null;
  const order = Int32Array.from(groups.keys()).sort((a, b) => groups[a] - groups[b] || a - b);
  const odd = order.findIndex((column, i) => groups[column] !== Math.floor(i / groupSize));
  if (odd >= 0) throw new RangeError(`group ${groups[order[odd]]} does not have ${groupSize} columns`);
  return order;
}

/** The group of each column, when column order[i] is the i-th of the groups side by side: undoes {@link orderOfGroups}. */
export function groupsOfOrder(order: Int32Array, groupSize: number): Int32Array {
  const groups = new Int32Array(order.length);
  for (const [i, column] of order.entries()) groups[column] = Math.floor(i / groupSize);
  return groups;
}

/** Column c of the result is column order[c] of the codes [rows, columns]. */
export function reorderColumns(codes: Uint8Array, columns: number, order: Int32Array): Uint8Array {
  const result = new Uint8Array(codes.length);
  for (let start = 0; start < codes.length; start += columns)
    for (let c = 0; c < columns; c++) result[start + c] = codes[start + order[c]];
  return result;
}

/** Undoes {@link reorderColumns}. */
export function restoreColumns(codes: Uint8Array, columns: number, order: Int32Array): Uint8Array {
  const result = new Uint8Array(codes.length);
  for (let start = 0; start < codes.length; start += columns)
    for (let c = 0; c < columns; c++) result[start + order[c]] = codes[start + c];
  return result;
}
