import { type IntegerGroups, type PackedActivation, parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { TensorInput } from '../tensor-input.js';
import { groupsOfOrder, restoreColumns, transposed, unpackCodes } from './bit-streams.js';
import {
  type MatrixPart,
  type PackedMatrix,
  type PackedShape,
  type Settings,
  stored,
  valuesOf,
} from './quantized-matrix.js';
import { wordsOfRows } from './words.js';

/** How compressed-tensors stores the matrices of one packed format. */
export interface CompressedScheme {
  /** Why it cannot hold a matrix; null when it can. */
  refusal(matrix: PackedShape): string | null;
  /** The quantisation of activations that our reader takes where the file says nothing. */
  readonly suited: PackedActivation;
  storage(matrix: PackedShape): CompressedStorage;
}

export interface CompressedStorage {
  readonly format: 'pack-quantized' | 'int-quantized' | 'float-quantized';
  /** `weights` of a group of `config_groups`. */
  readonly weights: Settings;
  tensors(matrix: PackedMatrix): TensorInput[];
}

/** The scheme for a packed format; null when there is none. */
export function schemeFor(format: string): CompressedScheme | null {
  const groups = parseIntegerGroups(format);
  if (groups) return integerGroups(groups);
  if (format === 'int8-channel') return int8Channel;
  return Object.hasOwn(floatStrategies, format) ? fp8(floatStrategies[format]) : null;
}

const byChannel = { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false };

/**
 * As bytes beside activations of 8 bits, and for embeddings, because transformers ties nothing else; alone as words, because
 * weight-only kernels of vLLM read nothing else.
 */
const int8Channel: CompressedScheme = {
  refusal: () => null,
  suited: 'none',
  storage: ({ activation, isEmbedding }) =>
    activation === 'int8' || isEmbedding
      ? { format: 'int-quantized', weights: byChannel, tensors: int8Bytes }
      : { format: 'pack-quantized', weights: byChannel, tensors: int8Words },
};

function int8Bytes({ modules: [base], shape, parts: [codes, scales] }: PackedMatrix): TensorInput[] {
  return [
    stored(`${base}.weight`, 'I8', shape, codes.bytes),
    stored(`${base}.weight_scale`, 'F32', [shape[0], 1], scales.bytes),
  ];
}

function int8Words({ modules: [base], shape, parts: [codes, scales] }: PackedMatrix): TensorInput[] {
  const [rows, columns] = shape;
  const words = async () =>
    wordsOfRows(
      Uint8Array.from(await valuesOf(codes), (code) => code + 128),
      rows,
      columns,
      8,
    );
  return [
    stored(`${base}.weight_packed`, 'I32', [rows, Math.ceil(columns / 4)], words),
    stored(`${base}.weight_scale`, 'F32', [rows, 1], scales.bytes),
    shapeTensor(base, shape),
  ];
}

function integerGroups(groups: IntegerGroups): CompressedScheme {
  const { bits, group, zeroPoints, ordered } = groups;
  return {
    refusal: ({ shape: [, columns], isEmbedding }) => {
      if (isEmbedding) return 'transformers has no embeddings in groups';
      if (columns % group === 0) return null;
      return `compressed-tensors has no shorter last group: ${columns} columns are no multiple of ${group}`;
    },
    suited: 'int8-block32',
    storage: () => ({
      format: 'pack-quantized',
      weights: {
        num_bits: bits,
        type: 'int',
        symmetric: !zeroPoints,
        strategy: 'group',
        group_size: group,
        dynamic: false,
        ...(ordered && { actorder: 'group' }),
      },
      tensors: (matrix) => integerTensors(matrix, groups),
    }),
  };
}

const scaleDTypes = { f16: 'F16', bf16: 'BF16', f32: 'F32' } as const;

function integerTensors(
  { modules: [base], shape, parts }: PackedMatrix,
  { bits, group, zeroPoints, scale, ordered }: IntegerGroups,
): TensorInput[] {
  const [rows, columns] = shape;
  const groups = columns / group;
  const perWord = Math.floor(32 / bits);
  const [codes, scales, zeros] = parts;
  const order = ordered ? parts[parts.length - 1] : undefined;
  const packed = async () => {
    const plain = unpackCodes((await valuesOf(codes)) as Uint8Array, rows, columns, bits);
    const placed = order ? restoreColumns(plain, columns, (await valuesOf(order)) as Int32Array) : plain;
    return wordsOfRows(placed, rows, columns, bits);
  };
  const zeroWords = async () => {
    const across = transposed((await valuesOf(zeros)) as Uint8Array, rows, groups);
    return transposed(wordsOfRows(across, groups, rows, bits), groups, Math.ceil(rows / perWord));
  };
  const groupOfColumn = async () => groupsOfOrder((await valuesOf(order as MatrixPart)) as Int32Array, group);
  return [
    stored(`${base}.weight_packed`, 'I32', [rows, Math.ceil(columns / perWord)], packed),
    stored(`${base}.weight_scale`, scaleDTypes[scale], [rows, groups], scales.bytes),
    ...(zeroPoints
      ? [stored(`${base}.weight_zero_point`, 'I32', [Math.ceil(rows / perWord), groups], zeroWords)]
      : []),
    ...(order ? [stored(`${base}.weight_g_idx`, 'I32', [columns], groupOfColumn)] : []),
    shapeTensor(base, shape),
  ];
}

interface FloatStrategy {
  readonly settings: Settings;
  scaleShape(rows: number, columns: number): number[];
  /** Rows and columns must be multiples of this. */
  readonly block: number;
}

const floatStrategies: Readonly<Record<string, FloatStrategy>> = {
  'fp8-tensor': { settings: { strategy: 'tensor' }, scaleShape: () => [1], block: 1 },
  'fp8-channel': { settings: { strategy: 'channel' }, scaleShape: (rows) => [rows, 1], block: 1 },
  'fp8-block128': {
    settings: { strategy: 'block', block_structure: [128, 128] },
    scaleShape: (rows, columns) => [rows / 128, columns / 128],
    block: 128,
  },
};

function fp8({ settings, scaleShape, block }: FloatStrategy): CompressedScheme {
  return {
    refusal: ({ shape: [rows, columns] }) =>
      rows % block === 0 && columns % block === 0
        ? null
        : `compressed-tensors has no smaller last block: [${rows}, ${columns}] are no multiples of ${block}`,
    suited: 'none',
    storage: () => ({
      format: 'float-quantized',
      weights: { num_bits: 8, type: 'float', symmetric: true, dynamic: false, ...settings },
      tensors: ({ modules: [base], shape, parts: [codes, scales] }) => [
        stored(`${base}.weight`, 'F8_E4M3', shape, codes.bytes),
        stored(`${base}.weight_scale`, 'F32', scaleShape(...shape), scales.bytes),
      ],
    }),
  };
}

function shapeTensor(base: string, shape: readonly [number, number]): TensorInput {
  return stored(`${base}.weight_shape`, 'I64', [2], async () => BigInt64Array.from(shape, BigInt));
}
