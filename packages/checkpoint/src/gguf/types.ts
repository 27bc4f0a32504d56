import type { DType } from '../dtypes.js';
import type { MetadataValue } from '../tensor-source.js';

/** "GGUF" */
export const MAGIC = 0x46554747;
/** Tensors start at multiples of this unless `general.alignment` says otherwise. */
export const DEFAULT_ALIGNMENT = 32;
export const ALIGNMENT_KEY = 'general.alignment';
/** ggml holds at most four dimensions. */
export const MAX_DIMENSIONS = 4;

/** Names of metadata types; the position is the number in the file. */
export const VALUE_TYPES = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const;
export type GgufValueType = (typeof VALUE_TYPES)[number];
export type GgufItemType = Exclude<GgufValueType, 'array'>;

/**
 * A metadata value with the type it has in the file. Long lists of numbers are typed arrays. `items` is the type of
 * the items of an array; arrays in arrays have `items: 'array'` and values that are themselves GgufValues.
 */
export type GgufValue =
  | { readonly type: GgufItemType; readonly value: MetadataValue }
  | { readonly type: 'array'; readonly items: GgufItemType; readonly value: MetadataValue }
  | { readonly type: 'array'; readonly items: 'array'; readonly value: readonly GgufValue[] };

/** Bytes of a value of fixed size; a string or array has at least its length field (and item type). */
export const VALUE_BYTES: Readonly<Record<GgufValueType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  array: 12,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** Typed arrays that hold a list of numbers. */
export const NUMBER_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;

/** Tensor types by their number in the file; missing numbers are types that ggml has given up. */
const TENSOR_TYPES: Readonly<Record<number, DType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
  41: 'Q1_0',
};

const TENSOR_TYPE_NUMBERS = new Map(
  Object.entries(TENSOR_TYPES).map(([number, dtype]) => [dtype, Number(number)]),
);

/** dtype of a tensor type number. */
export function dtypeOfTensorType(number: number): DType | undefined {
  return TENSOR_TYPES[number];
}

/** Tensor type number of a dtype; undefined for dtypes that GGUF does not have. */
export function tensorTypeOf(dtype: DType): number | undefined {
  return TENSOR_TYPE_NUMBERS.get(dtype);
}

/** The smallest multiple of `alignment` that is not below `position`. */
export function alignUp(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}
