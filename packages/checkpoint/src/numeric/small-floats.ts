/**
 * Floats of 8 and 16 bits as tables of what they are: sign, then `exponentBits`, then `mantissaBits`.
 * What the top codes mean differs:
 * - `ieee`: infinities and NaNs, as in F16, BF16 and F8_E5M2;
 * - `fn`: no infinity, NaN is the code with all bits set (F8_E4M3, OCP 8-bit floating point specification 1.0);
 * - `fnuz`: no infinity, no negative zero, whose code 0x80 is the only NaN (AMD's F8 types).
 */
export interface SmallFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  readonly kind: 'ieee' | 'fn' | 'fnuz';
}

export const SMALL_FLOATS = {
  F16: { exponentBits: 5, mantissaBits: 10, bias: 15, kind: 'ieee' },
  BF16: { exponentBits: 8, mantissaBits: 7, bias: 127, kind: 'ieee' },
  F8_E5M2: { exponentBits: 5, mantissaBits: 2, bias: 15, kind: 'ieee' },
  F8_E4M3: { exponentBits: 4, mantissaBits: 3, bias: 7, kind: 'fn' },
  F8_E4M3FNUZ: { exponentBits: 4, mantissaBits: 3, bias: 8, kind: 'fnuz' },
  F8_E5M2FNUZ: { exponentBits: 5, mantissaBits: 2, bias: 16, kind: 'fnuz' },
} as const satisfies Record<string, SmallFloat>;

const F32_INFINITY = 0x7f800000;
const F32_QUIET = 0x00400000;

/** The bits of the f32 of equal value; a NaN keeps its sign and payload. */
export function decodeSmallFloat(code: number, format: SmallFloat): number {
  const { exponentBits, mantissaBits, bias, kind } = format;
  const signBit = 2 ** (exponentBits + mantissaBits);
  const sign = code & signBit ? 0x80000000 : 0;
  const exponent = (code & (signBit - 1)) >>> mantissaBits;
  const mantissa = code & (2 ** mantissaBits - 1);
  if (kind === 'fnuz' && code === signBit) return sign + F32_INFINITY + F32_QUIET;
  if (kind === 'fn' && (code & (signBit - 1)) === signBit - 1) return sign + F32_INFINITY + F32_QUIET;
  if (kind === 'ieee' && exponent === 2 ** exponentBits - 1) {
    return sign + F32_INFINITY + mantissa * 2 ** (23 - mantissaBits);
  }
  const value =
    exponent === 0
      ? mantissa * 2 ** (1 - bias - mantissaBits)
      : (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
  scratch[0] = value; // exact: every small float is an f32
  return sign + scratchBits[0];
}

/**
 * A function from the bits of an f32 to the nearest code, ties to even. Too large values become infinity, or NaN where
 * there is none (as in PyTorch), or the largest finite value when `saturate` is set. NaN stays NaN.
 */
export function smallFloatEncoder(format: SmallFloat, saturate: boolean): (bits: number) => number {
  const { exponentBits, mantissaBits, bias, kind } = format;
  const signBit = 1 << (exponentBits + mantissaBits);
  const infinity = ((1 << exponentBits) - 1) << mantissaBits;
  const largest = kind === 'ieee' ? infinity - 1 : kind === 'fn' ? signBit - 2 : signBit - 1;
  const drop = 23 - mantissaBits;
  const rebias = (127 - bias) << 23;
  const firstNormal = (128 - bias) << 23;
  return (bits) => {
    const sign = bits >>> 31 ? signBit : 0;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > F32_INFINITY) return encodeNaN(sign, magnitude, format);
    // Normal: exponent and mantissa are one number, so a mantissa that rounds over carries into the exponent.
    const code =
      magnitude >= firstNormal
        ? roundShift(magnitude - rebias, drop)
        : roundSubnormal(magnitude, drop + 128 - bias - (magnitude >>> 23));
    if (code > largest || magnitude === F32_INFINITY) {
      if (saturate) return sign | largest;
      return kind === 'ieee' ? sign | infinity : encodeNaN(sign, magnitude, format);
    }
    return kind === 'fnuz' && code === 0 ? 0 : sign | code;
  };
}

function roundSubnormal(magnitude: number, shift: number): number {
  if (shift > 25) return 0; // below a quarter of the smallest step
  const significand = magnitude >>> 23 === 0 ? magnitude << 1 : (magnitude & 0x7fffff) | 0x800000;
  return roundShift(significand, shift);
}

/** value / 2^shift, rounded to nearest, ties to even. */
function roundShift(value: number, shift: number): number {
  const half = 1 << (shift - 1);
  return (value + half - 1 + ((value >>> shift) & 1)) >>> shift;
}

function encodeNaN(
  sign: number,
  magnitude: number,
  { exponentBits, mantissaBits, kind }: SmallFloat,
): number {
  const signBit = 2 ** (exponentBits + mantissaBits);
  if (kind === 'fnuz') return signBit;
  if (kind === 'fn') return sign + signBit - 1;
  const payload = (magnitude & 0x7fffff) >>> (23 - mantissaBits);
  return sign + (2 ** exponentBits - 1) * 2 ** mantissaBits + (payload || 2 ** (mantissaBits - 1));
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);
