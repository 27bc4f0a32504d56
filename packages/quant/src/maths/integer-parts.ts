import {
  floatStorages,
  type IntegerGroups,
  type PartArray,
  packedLength,
  writeCode,
} from '@frugal/tensor-core/formats';
import type { Grid, GroupParameters } from './grid.js';

/** The grid that a format of integer groups can hold, scales rounded as it stores them. */
export function gridOf({ bits, group, zeroPoints, scale }: IntegerGroups): Grid {
  const storage = floatStorages[scale];
  const scratch = storage.create(1);
  return {
    bits,
    groupSize: group,
    zeroPoint: zeroPoints,
    roundScale: (exact) => storage.write(scratch, 0, exact),
  };
}

/** The parts of the format, from codes [rows, columns] and the parameters of their groups. */
export function partsOf(
  { bits, zeroPoints, scale }: IntegerGroups,
  [rows, columns]: readonly [number, number],
  { codes, scales, zeros }: GroupParameters & { readonly codes: Uint8Array },
): PartArray[] {
  const rowBytes = packedLength(columns, bits);
  const packed = new Uint8Array(rows * rowBytes);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) writeCode(packed, r * rowBytes, c, bits, codes[r * columns + c]);
  const storage = floatStorages[scale];
  const stored = storage.create(scales.length);
  scales.forEach((value, i) => void storage.write(stored, i, value));
  return [packed, stored, ...(zeroPoints ? [zeros] : [])];
}
