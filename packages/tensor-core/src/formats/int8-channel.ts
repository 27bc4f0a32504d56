import type { PackedFormat } from './format.js';
import { roundHalfEven } from './rounding.js';

/** Symmetric int8 with one f32 scale per row (output channel): value = code · scale, code in -127..127. */
export const int8Channel: PackedFormat = {
  name: 'int8-channel',
  activation: 'int8',
  rowByRow: true,
  parts: (rows, columns) => [
    { name: 'codes', dtype: 'i8', shape: [rows, columns] },
    { name: 'scales', dtype: 'f32', shape: [rows] },
  ],
  pack: (values, rows, columns) => {
    const codes = new Int8Array(rows * columns);
    const scales = new Float32Array(rows);
    for (let r = 0; r < rows; r++) {
      const row = values.subarray(r * columns, (r + 1) * columns);
      let largest = 0;
      for (const value of row) largest = Math.max(largest, Math.abs(value));
      const scale = Math.fround(largest / 127);
      scales[r] = scale;
      if (scale === 0) continue;
      // Where the scale itself is subnormal and badly rounded, a code could leave the range.
      for (let c = 0; c < columns; c++) {
        codes[r * columns + c] = Math.max(-127, Math.min(127, roundHalfEven(Math.fround(row[c] / scale))));
      }
    }
    return [codes, scales];
  },
  unpack: ([codes, scales], { columns, rowStart, rowCount }, out) => {
    for (let r = 0; r < rowCount; r++) {
      const scale = scales[rowStart + r];
      const start = (rowStart + r) * columns;
      for (let c = 0; c < columns; c++) out[r * columns + c] = codes[start + c] * scale;
    }
  },
};
