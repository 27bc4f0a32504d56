/** How a dtype is laid out: `bytes` bytes hold `elements` elements (1 element for plain numbers). */
export interface DTypeLayout {
  readonly elements: number;
  readonly bytes: number;
}

/**
 * Plain numbers, named as in safetensors; little-endian, row-major. The order, from narrow to wide, is the one in which
 * the reference implementation lays them out (backwards), so that we write the same bytes.
 */
const PLAIN = {
  BOOL: [1, 1],
  F4: [2, 1],
  F6_E2M3: [4, 3],
  F6_E3M2: [4, 3],
  U8: [1, 1],
  I8: [1, 1],
  F8_E5M2: [1, 1],
  F8_E4M3: [1, 1],
  F8_E8M0: [1, 1],
  F8_E4M3FNUZ: [1, 1],
  F8_E5M2FNUZ: [1, 1],
  I16: [1, 2],
  U16: [1, 2],
  F16: [1, 2],
  BF16: [1, 2],
  I32: [1, 4],
  U32: [1, 4],
  F32: [1, 4],
  C64: [1, 8],
  F64: [1, 8],
  I64: [1, 8],
  U64: [1, 8],
} as const;

/** Blocks of ggml (GGUF files): scales and codes of a run of elements along the last axis, together. */
const BLOCKS = {
  Q1_0: [128, 18],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q8_1: [32, 40],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  Q8_K: [256, 292],
  IQ1_S: [256, 50],
  IQ1_M: [256, 56],
  IQ2_XXS: [256, 66],
  IQ2_XS: [256, 74],
  IQ2_S: [256, 82],
  IQ3_XXS: [256, 98],
  IQ3_S: [256, 110],
  IQ4_NL: [32, 18],
  IQ4_XS: [256, 136],
  TQ1_0: [256, 54],
  TQ2_0: [256, 66],
  MXFP4: [32, 17],
  NVFP4: [64, 36],
} as const;

/** dtype of plain numbers, as safetensors names them. */
export type PlainDType = keyof typeof PLAIN;
/** dtype of a ggml block format, as GGUF names them. */
export type BlockDType = keyof typeof BLOCKS;
/** dtype of a stored tensor. */
export type DType = PlainDType | BlockDType;

const LAYOUTS: ReadonlyMap<string, DTypeLayout> = new Map(
  [...Object.entries(PLAIN), ...Object.entries(BLOCKS)].map(([name, [elements, bytes]]) => [
    name,
    { elements, bytes },
  ]),
);

/** All dtypes: plain ones from narrow to wide, then ggml blocks. */
export const DTYPES: readonly DType[] = [...LAYOUTS.keys()] as DType[];

/** Whether `name` is a dtype this package can store. */
export function isDType(name: string): name is DType {
  return LAYOUTS.has(name);
}

/** Whether `name` is a dtype of plain numbers (what a safetensors file can hold). */
export function isPlainDType(name: string): name is PlainDType {
  return Object.hasOwn(PLAIN, name);
}

/** Whether `name` is a ggml block format (only GGUF files hold them). */
export function isBlockDType(name: string): name is BlockDType {
  return Object.hasOwn(BLOCKS, name);
}

/** Elements and bytes per block of a dtype. */
export function layoutOf(dtype: DType): DTypeLayout {
  return LAYOUTS.get(dtype)!;
}

/** Number of elements of a shape; undefined when a dimension is no count or the product exceeds 2^53 - 1. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) return undefined;
    count *= dimension;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/**
 * Bytes of a tensor. Undefined when the shape overflows or does not divide into whole blocks: ggml blocks run along
 * the last axis, the sub-byte floats of safetensors along the flattened tensor.
 */
export function byteLengthOf(dtype: DType, shape: readonly number[]): number | undefined {
  const count = elementCount(shape);
  if (count === undefined) return undefined;
  const { elements, bytes } = layoutOf(dtype);
  const run = isBlockDType(dtype) ? (shape.at(-1) ?? 1) : count;
  if (run % elements !== 0) return undefined;
  const total = (count / elements) * bytes;
  return Number.isSafeInteger(total) ? total : undefined;
}
