import { bf16ToFloat, type DType, f16ToFloat, floatToBf16, floatToF16 } from './dtype.js';

/** Numbers as bytes of a dtype; floats are rounded to nearest even. */
export function encode(values: ArrayLike<number>, dtype: DType): Uint8Array {
  const array = new arrayOf[dtype](values.length);
  const convert =
    dtype === 'bf16' ? floatToBf16 : dtype === 'f16' ? floatToF16 : dtype === 'bool' ? toBool : undefined;
  if (convert) for (let i = 0; i < values.length; i++) array[i] = convert(values[i]);
  else array.set(values);
  return new Uint8Array(array.buffer);
}

/** Whether a dtype holds this number as it is; f32 counts as holding every number, as JavaScript has no literals of it. */
export function isExact(value: number, dtype: DType): boolean {
  switch (dtype) {
    case 'f32':
      return true;
    case 'bf16':
      return Number.isNaN(value) || bf16ToFloat(floatToBf16(value)) === value;
    case 'f16':
      return Number.isNaN(value) || f16ToFloat(floatToF16(value)) === value;
    default: {
      const [least, most] = integerRange[dtype];
      return Number.isInteger(value) && value >= least && value <= most;
    }
  }
}

const integerRange = { i8: [-128, 127], u8: [0, 255], i32: [-(2 ** 31), 2 ** 31 - 1], bool: [0, 1] } as const;

function toBool(value: number): number {
  return value ? 1 : 0;
}

const arrayOf = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  i32: Int32Array,
  bool: Uint8Array,
} as const;

/** Row-major bytes of a dtype as f32; shares memory for f32. */
export function decode(bytes: Uint8Array, dtype: DType): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'bf16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), bf16ToFloat);
    case 'f16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), f16ToFloat);
    case 'i32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'i8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, byteLength));
    default:
      return Float32Array.from(bytes);
  }
}
