/**
 * Element types of tensors. `bf16` and `f16` are storage types without a JavaScript array: read them with
 * `tensor.bytes()` or `await tensor.toFloat32()`. 64-bit integers exist in files only.
 */
export type DType = 'f32' | 'bf16' | 'f16' | 'i8' | 'u8' | 'i32' | 'bool';

export type FloatDType = 'f32' | 'bf16' | 'f16';

const bytesOf: Record<DType, number> = { f32: 4, bf16: 2, f16: 2, i8: 1, u8: 1, i32: 4, bool: 1 };

export const allDTypes = Object.keys(bytesOf) as readonly DType[];

export function bytesPerElement(dtype: DType): number {
  return bytesOf[dtype];
}

export function isFloating(dtype: DType): dtype is FloatDType {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
}

const convertWord = new Uint32Array(1);
const convertFloat = new Float32Array(convertWord.buffer);

/** Rounds an f32 value to bfloat16 (nearest, ties to even); returns the 16 bits. NaN stays NaN. */
export function floatToBf16(value: number): number {
  convertFloat[0] = value;
  const bits = convertWord[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

export function bf16ToFloat(bits: number): number {
  convertWord[0] = bits << 16;
  return convertFloat[0];
}

/** Rounds an f32 value to IEEE half precision (nearest, ties to even); returns the 16 bits. */
export function floatToF16(value: number): number {
  convertFloat[0] = value;
  const bits = convertWord[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and above, infinity included
  if (magnitude < 0x38800000) {
    // Subnormal half: adding 0.5 aligns the mantissa so that the hardware does the rounding.
    convertFloat[0] = Math.abs(value) + 0.5;
    return sign | (convertWord[0] - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

export function f16ToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
