import type { PackedFormat } from './format.js';
import { e4m3Values, floatToE4m3 } from './small-float.js';

const BLOCK = 128;
const LARGEST = 448;

/** How many rows and columns share a scale. */
type ScaleBlock = (rows: number, columns: number) => readonly [rows: number, columns: number];

/**
 * E4M3 numbers with f32 scales: value = code · scale. Parts: `codes` u8 [rows, columns], and `scales` f32, which are
 * [1] for a whole tensor, [rows] per channel, [⌈rows / 128⌉, ⌈columns / 128⌉] per block (DeepSeek's weight_scale_inv).
 */
function fp8(
  name: string,
  block: ScaleBlock,
  scaleShape: (rows: number, columns: number) => number[],
): PackedFormat {
  return {
    name,
    activation: 'none',
    parts: (rows, columns) => [
      { name: 'codes', dtype: 'u8', shape: [rows, columns] },
      { name: 'scales', dtype: 'f32', shape: scaleShape(rows, columns) },
    ],
    pack: (values, rows, columns) => {
      const [high, wide] = block(rows, columns);
      const perRow = Math.ceil(columns / wide);
      const codes = new Uint8Array(rows * columns);
      const scales = new Float32Array(scaleShape(rows, columns).reduce((a, b) => a * b, 1));
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          const at = Math.floor(r / high) * perRow + Math.floor(c / wide);
          scales[at] = Math.max(scales[at], Math.abs(values[r * columns + c]));
        }
      }
      for (let i = 0; i < scales.length; i++) scales[i] /= LARGEST;
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          const scale = scales[Math.floor(r / high) * perRow + Math.floor(c / wide)];
          if (scale > 0) codes[r * columns + c] = floatToE4m3(Math.fround(values[r * columns + c] / scale));
        }
      }
      return [codes, scales];
    },
    unpack: ([codes, scales], { rows, columns, rowStart, rowCount }, out) => {
      const [high, wide] = block(rows, columns);
      const perRow = Math.ceil(columns / wide);
      for (let r = 0; r < rowCount; r++) {
        const scaleRow = Math.floor((rowStart + r) / high) * perRow;
        const start = (rowStart + r) * columns;
        for (let c = 0; c < columns; c++) {
          out[r * columns + c] = e4m3Values[codes[start + c]] * scales[scaleRow + Math.floor(c / wide)];
        }
      }
    },
  };
}

export const fp8Tensor = fp8(
  'fp8-tensor',
  (rows, columns) => [Math.max(1, rows), Math.max(1, columns)],
  () => [1],
);
export const fp8Channel = fp8(
  'fp8-channel',
  (_, columns) => [1, Math.max(1, columns)],
  (rows) => [rows],
);
export const fp8Block128 = fp8(
  'fp8-block128',
  () => [BLOCK, BLOCK],
  (rows, columns) => [Math.ceil(rows / BLOCK), Math.ceil(columns / BLOCK)],
);
