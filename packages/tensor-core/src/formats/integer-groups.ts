import { packedLength, readCode, writeCode } from './bits.js';
import type { PackedFormat, PartInfo } from './format.js';
import { roundHalfEven } from './rounding.js';
import { type FloatStorage, floatStorages } from './small-float.js';

export interface IntegerGroups {
  readonly bits: 2 | 3 | 4 | 8;
  /** Columns that share a scale; the last group of a row may be shorter. */
  readonly group: number;
  readonly zeroPoints: boolean;
  /** f16 when the name says nothing. */
  readonly scale: 'f16' | 'bf16' | 'f32';
  /** Columns are stored in an order of their own (act-order checkpoints). */
  readonly ordered: boolean;
}

const pattern = /^int([2348])-g([1-9]\d{0,6})(-zero)?(-bf16|-f32)?(-order)?$/;

/** `int4-g128`, `int3-g64-zero`, `int4-g128-bf16-order`; null for names of other kinds. */
export function parseIntegerGroups(name: string): IntegerGroups | null {
  const match = pattern.exec(name);
  if (!match) return null;
  const [, bits, group, zero, scale, order] = match;
  return {
    bits: Number(bits) as IntegerGroups['bits'],
    group: Number(group),
    zeroPoints: zero !== undefined,
    scale: scale === '-bf16' ? 'bf16' : scale === '-f32' ? 'f32' : 'f16',
    ordered: order !== undefined,
  };
}

/** The name that {@link parseIntegerGroups} reads. */
export function integerGroupsName({ bits, group, zeroPoints, scale, ordered }: IntegerGroups): string {
  const scaleSuffix = scale === 'f16' ? '' : `-${scale}`;
  return `int${bits}-g${group}${zeroPoints ? '-zero' : ''}${scaleSuffix}${ordered ? '-order' : ''}`;
}

/**
 * Whole numbers with a scale, and perhaps a zero point, per group of columns of a row: what GPTQ, AWQ and
 * compressed-tensors checkpoints hold. value = scale · (code - zero); without zero points zero is 2^(bits-1).
 * Parts: `codes` u8 [rows, ⌈columns · bits / 8⌉], a row's codes in column order as one stream of bits, lowest first;
 * `scales` [rows, groups]; `zeros` u8 [rows, groups] (one byte each); `order` i32 [columns]: the matrix column of each stored one.
 */
export function integerGroups(shape: IntegerGroups): PackedFormat {
  const { bits, group, zeroPoints, ordered } = shape;
  const storage = floatStorages[shape.scale];
  const parts = (rows: number, columns: number): PartInfo[] => {
    const groups = Math.ceil(columns / group);
    return [
      { name: 'codes', dtype: 'u8', shape: [rows, packedLength(columns, bits)] },
      { name: 'scales', dtype: shape.scale, shape: [rows, groups] },
      ...(zeroPoints ? [{ name: 'zeros', dtype: 'u8', shape: [rows, groups] } as const] : []),
      ...(ordered ? [{ name: 'order', dtype: 'i32', shape: [columns] } as const] : []),
    ];
  };
  const middle = 2 ** (bits - 1);
  const orderPart = ordered ? (zeroPoints ? 3 : 2) : undefined;
  return {
    name: integerGroupsName(shape),
    activation: 'int8-block32',
    orderPart,
    rowByRow: !ordered,
    parts,
    pack: (values, rows, columns) => {
      const groups = Math.ceil(columns / group);
      const codes = new Uint8Array(rows * packedLength(columns, bits));
      const scales = storage.create(rows * groups);
      const zeros = new Uint8Array(zeroPoints ? rows * groups : 0);
      for (let r = 0; r < rows; r++) {
        const start = r * packedLength(columns, bits);
        for (let g = 0; g < groups; g++) {
          const end = Math.min(columns, (g + 1) * group);
          const part = values.subarray(r * columns + g * group, r * columns + end);
          const at = r * groups + g;
          const { scale, zero } = fitGroup(part, bits, zeroPoints, storage);
          storage.write(scales, at, scale);
          if (zeroPoints) zeros[at] = zero;
          for (let i = 0; i < part.length; i++) {
            const level = scale === 0 ? 0 : roundHalfEven(part[i] / scale);
            const code = Math.max(0, Math.min(2 ** bits - 1, level + zero));
            writeCode(codes, start, g * group + i, bits, code);
          }
        }
      }
      const order = ordered ? [Int32Array.from({ length: columns }, (_, c) => c)] : [];
      return [codes, scales, ...(zeroPoints ? [zeros] : []), ...order];
    },
    unpack: (all, { columns, rowStart, rowCount }, out) => {
      const groups = Math.ceil(columns / group);
      const [codes, scales, zeros] = all;
      const order = orderPart === undefined ? null : all[orderPart];
      for (let r = 0; r < rowCount; r++) {
        const start = (rowStart + r) * packedLength(columns, bits);
        for (let g = 0; g < groups; g++) {
          const at = (rowStart + r) * groups + g;
          const scale = storage.read(scales, at);
          const zero = zeroPoints ? zeros[at] : middle;
          const end = Math.min(columns, (g + 1) * group);
          for (let c = g * group; c < end; c++) {
            const value = scale * (readCode(codes as Uint8Array, start, c, bits) - zero);
            out[r * columns + (order ? order[c] : c)] = value;
          }
        }
      }
    },
  };
}

/**
 * The scale (as it will be stored) and zero point of a group. Symmetric: absmax is half a step beyond the largest code,
 * so that all codes are used and nothing is off by more than half a step. Zero points: the range includes 0, which is exact.
 */
function fitGroup(
  values: Float32Array,
  bits: number,
  zeroPoints: boolean,
  storage: FloatStorage,
): { scale: number; zero: number } {
  const levels = 2 ** bits - 1;
  let [low, high] = [0, 0];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const scratch = storage.create(1);
  const wish = zeroPoints ? (high - low) / levels : Math.max(high, -low) / (levels / 2);
  const scale = storage.write(scratch, 0, wish);
  if (!zeroPoints) return { scale, zero: 2 ** (bits - 1) };
  const zero = scale === 0 ? 0 : Math.max(0, Math.min(levels, roundHalfEven(-low / scale)));
  return { scale, zero };
}
