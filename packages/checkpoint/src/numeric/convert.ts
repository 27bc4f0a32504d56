import { type DType, isPlainDType, layoutOf, type PlainDType } from '../dtypes.js';
import { ConversionError } from '../errors.js';
import { decodeSmallFloat, SMALL_FLOATS, smallFloatEncoder } from './small-floats.js';

export interface FromFloat32Options {
  /** Values beyond the range of a float dtype become its largest value instead of infinity or NaN. Default: false. */
  readonly saturate?: boolean;
}

/** The typed array in which JavaScript holds a dtype; 8- and 16-bit floats are held as their codes. */
const ARRAYS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  U32: Uint32Array,
  I32: Int32Array,
  U64: BigUint64Array,
  I64: BigInt64Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F32: Float32Array,
  F64: Float64Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  F8_E8M0: Uint8Array,
  F8_E4M3FNUZ: Uint8Array,
  F8_E5M2FNUZ: Uint8Array,
} as const;

/** dtypes that convert to and from Float32Array. */
export type NumericDType = keyof typeof ARRAYS;
/** Typed array of a {@link NumericDType}. */
export type TypedArrayOf<D extends NumericDType> = InstanceType<(typeof ARRAYS)[D]>;

type Codes = Uint8Array | Uint16Array;

/** Whether values of this dtype convert to and from Float32Array here (packed formats do in their own package). */
export function isNumericDType(dtype: string): dtype is NumericDType {
  return Object.hasOwn(ARRAYS, dtype);
}

/** The elements of a tensor as a typed array: a view when the bytes are aligned, else a copy. */
export function typedArrayOf<D extends NumericDType>(bytes: Uint8Array, dtype: D): TypedArrayOf<D> {
  const { bytes: width } = layoutOf(dtype);
  if (bytes.byteLength % width !== 0) {
    const got = `${bytes.byteLength} bytes`;
    throw new ConversionError({
      where: dtype,
      what: 'the bytes are no whole elements',
      got,
      expected: `a multiple of ${width}`,
    });
  }
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new ARRAYS[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    bytes.byteLength / width,
  ) as TypedArrayOf<D>;
}

/**
 * The elements of a tensor as f32, rounded to nearest even where f32 is narrower (F64, 32- and 64-bit integers).
 * NaNs keep sign and payload. F32 is not copied when aligned. Throws {@link ConversionError} for dtypes that are not
 * plain numbers.
 */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array {
  if (!isNumericDType(dtype)) throw notNumeric(dtype);
  if (dtype === 'F32') return typedArrayOf(bytes, dtype);
  if (dtype === 'BF16') return decodeBF16(typedArrayOf(bytes, dtype));
  if (dtype === 'U64' || dtype === 'I64')
    return Float32Array.from(typedArrayOf(bytes, dtype), bigintToFloat32);
  const values = typedArrayOf(bytes, dtype);
  const table = decodeTable(dtype);
  return table ? decode(values as Codes, table) : Float32Array.from(values as Float64Array);
}

/**
 * f32 values in another dtype, rounded to nearest, ties to even; NaN stays NaN. BOOL: everything but 0 is true.
 * Throws {@link ConversionError} when an integer dtype cannot hold a value, with its position.
 */
export function fromFloat32(
  values: Float32Array,
  dtype: DType,
  { saturate = false }: FromFloat32Options = {},
): Uint8Array<ArrayBuffer> {
  if (!isNumericDType(dtype)) throw notNumeric(dtype);
  const result = new ARRAYS[dtype](values.length);
  const bits = bitsOf(values);
  if (dtype === 'F32' || dtype === 'F64') (result as Float64Array).set(values);
  else if (dtype === 'F8_E8M0') encodeE8M0(values, result as Uint8Array);
  else if (dtype === 'BOOL') (result as Uint8Array).set(values.map((value) => Number(value !== 0)));
  else if (dtype === 'BF16' && !saturate) encodeBF16(bits, result as Uint16Array);
  else if (isSmallFloat(dtype)) {
    const encode = smallFloatEncoder(SMALL_FLOATS[dtype], saturate);
    const codes = result as Codes;
    for (let i = 0; i < bits.length; i++) codes[i] = encode(bits[i]);
  } else encodeIntegers(values, dtype, result);
  return new Uint8Array(result.buffer as ArrayBuffer);
}

function notNumeric(dtype: DType): ConversionError {
  return new ConversionError({
    where: dtype,
    what: 'not a dtype of plain numbers',
    expected: Object.keys(ARRAYS).join(', '),
    hint: isPlainDType(dtype) ? undefined : 'Unpack it with @frugal/tensor-core/formats.',
  });
}

function isSmallFloat(dtype: PlainDType): dtype is keyof typeof SMALL_FLOATS {
  return Object.hasOwn(SMALL_FLOATS, dtype);
}

/** The bits of floats; the copy keeps the payloads of NaNs. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

const tables = new Map<string, Uint32Array>();

/** Bits of the f32 of every code of an 8- or 16-bit float. */
function decodeTable(dtype: NumericDType): Uint32Array | undefined {
  const known = tables.get(dtype);
  if (known) return known;
  let table: Uint32Array;
  if (dtype === 'F8_E8M0')
    table = bitsOf(
      Float32Array.from({ length: 256 }, (_, code) => (code === 255 ? Number.NaN : 2 ** (code - 127))),
    );
  else if (isSmallFloat(dtype)) {
    const format = SMALL_FLOATS[dtype];
    const size = 256 ** layoutOf(dtype).bytes;
    table = Uint32Array.from({ length: size }, (_, code) => decodeSmallFloat(code, format));
  } else return undefined;
  tables.set(dtype, table);
  return table;
}

function decode(codes: Codes, table: Uint32Array): Float32Array {
  const result = new Float32Array(codes.length);
  const bits = bitsOf(result);
  for (let i = 0; i < codes.length; i++) bits[i] = table[codes[i]];
  return result;
}

function decodeBF16(codes: Uint16Array): Float32Array {
  const result = new Float32Array(codes.length);
  const bits = bitsOf(result);
  for (let i = 0; i < codes.length; i++) bits[i] = codes[i] << 16;
  return result;
}

/** The common case, without branches on ordinary numbers: the upper half of the bits, rounded. */
function encodeBF16(bits: Uint32Array, result: Uint16Array): void {
  const encodeSpecial = smallFloatEncoder(SMALL_FLOATS.BF16, false);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i];
    if ((word & 0x7fffffff) > 0x7f800000) result[i] = encodeSpecial(word);
    else result[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

/** Powers of two from 2^-127 to 2^127, the nearer one; ties go up, as in PyTorch and ml_dtypes. */
function encodeE8M0(values: Float32Array, result: Uint8Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
      result[i] = 255; // no sign, no zero, no infinity
      continue;
    }
    const exponent = Math.floor(Math.log2(value));
    const mantissa = value / 2 ** exponent;
    result[i] = Math.min(255, Math.max(0, exponent + 127 + Number(mantissa >= 1.5)));
  }
}

function encodeIntegers(
  values: Float32Array,
  dtype: NumericDType,
  result: InstanceType<(typeof ARRAYS)[NumericDType]>,
): void {
  const bits = layoutOf(dtype).bytes * 8;
  const signed = dtype.startsWith('I');
  const low = signed ? -(2 ** (bits - 1)) : 0;
  const beyond = 2 ** (signed ? bits - 1 : bits);
  const wide = bits === 64;
  for (let i = 0; i < values.length; i++) {
    const rounded = roundHalfEven(values[i]);
    if (!(rounded >= low && rounded < beyond)) {
      throw new ConversionError({
        where: `${dtype}, element ${i}`,
        what: 'the value does not fit',
        got: String(values[i]),
        expected: `${low} to ${beyond - 1}`,
      });
    }
    (result as { [index: number]: number | bigint })[i] = wide ? BigInt(rounded) : rounded;
  }
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Rounds once: Number() alone would round to f64 first. The lowest bit kept stands for all bits dropped ("sticky"). */
function bigintToFloat32(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 2n ** 53n) return Number(value);
  const kept = (magnitude >> 11n) | (magnitude & 2047n ? 1n : 0n);
  return (value < 0n ? -1 : 1) * Number(kept) * 2048;
}
