import { bf16ToFloat, f16ToFloat, floatToBf16, floatToF16 } from '../dtype.js';
import type { PartArray } from './format.js';

/** A dtype for scales or values: how its elements are held and converted. */
export interface FloatStorage {
  readonly dtype: 'f32' | 'bf16' | 'f16';
  /** Largest finite value: larger ones are stored as it. */
  readonly largest: number;
  create(length: number): Float32Array | Uint16Array;
  read(array: PartArray, at: number): number;
  /** Stores the nearest element and returns its value. */
  write(array: PartArray, at: number, value: number): number;
}

export const floatStorages: Readonly<Record<'f32' | 'bf16' | 'f16', FloatStorage>> = {
  f32: {
    dtype: 'f32',
    largest: 3.4028234663852886e38,
    create: (length) => new Float32Array(length),
    read: (array, at) => array[at],
    write: (array, at, value) => {
      array[at] = value;
      return array[at];
    },
  },
  bf16: halfStorage('bf16', 3.3895313892515355e38, floatToBf16, bf16ToFloat),
  f16: halfStorage('f16', 65504, floatToF16, f16ToFloat),
};

function halfStorage(
  dtype: 'bf16' | 'f16',
  largest: number,
  encode: (value: number) => number,
  decode: (bits: number) => number,
): FloatStorage {
  return {
    dtype,
    largest,
    create: (length) => new Uint16Array(length),
    read: (array, at) => decode(array[at]),
    write: (array, at, value) => {
      array[at] = encode(Math.min(largest, Math.max(-largest, value)));
      return decode(array[at]);
    },
  };
}

/** f32 of every E4M3 code (OCP 8-bit floating point: no infinity, largest 448, NaN 0x7f and 0xff). */
export const e4m3Values: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const magnitude = code & 127;
  if (magnitude === 127) return Number.NaN;
  const exponent = magnitude >>> 3;
  const mantissa = magnitude & 7;
  const value = exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
  return code & 128 ? -value : value;
});

/** The nearest E4M3 code, ties to even, saturating at 448. */
export function floatToE4m3(value: number): number {
  if (Number.isNaN(value)) return 127;
  const sign = value < 0 || Object.is(value, -0) ? 128 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 448) return sign | 126;
  // Codes are in the order of their values: the nearest is below or above.
  let [low, high] = [0, 126];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (e4m3Values[middle] <= magnitude) low = middle;
    else high = middle;
  }
  const down = magnitude - e4m3Values[low];
  const up = e4m3Values[high] - magnitude;
  return sign | (down < up || (down === up && low % 2 === 0) ? low : high);
}
