import { parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { TensorInput } from '../tensor-input.js';
import { ROW_OF_NIBBLE } from './awq.js';
import { transposed, unpackCodes } from './bit-streams.js';
import {
  type PackedMatrix,
  type Settings,
  stored,
  valuesOf,
  type WritableLayout,
} from './quantized-matrix.js';

/** AWQ's GEMM version, as AutoAWQ writes it, and vLLM and transformers read it: see `awq.ts`. */
export const awqWriter: WritableLayout = {
  refusal: ({ format, shape: [rows, columns], isEmbedding }) => {
    const groups = parseIntegerGroups(format);
    if (groups?.bits !== 4) return 'AWQ has groups of 4 bits alone';
    if (groups.ordered) return 'AWQ has no order of columns';
    if (isEmbedding) return 'AWQ has no packed embeddings';
    if (groups.scale !== 'f16') return `AWQ has scales in f16, not ${groups.scale}`;
    if (rows % 8 !== 0) return `${rows} rows are no multiple of 8`;
    return columns % groups.group === 0
      ? null
      : `AWQ has no shorter last group: ${columns} columns are no multiple of ${groups.group}`;
  },

  together(matrices) {
    const sizes = new Set(matrices.map(({ format }) => parseIntegerGroups(format)?.group));
    return sizes.size <= 1 ? null : 'AWQ has one group size for all layers';
  },

  tensors: tensorsOf,

  settings: (matrices, dense) => ({
    quant_method: 'awq',
    version: 'gemm',
    bits: 4,
    group_size: parseIntegerGroups(matrices[0].format)?.group,
    zero_point: true,
    modules_to_not_convert: dense.length > 0 ? [...dense] : null,
  }),

  files: ({ bits, group_size, zero_point, version }: Settings) => ({
    'quant_config.json': JSON.stringify(
      { w_bit: bits, q_group_size: group_size, zero_point, version },
      null,
      2,
    ),
  }),
};

function tensorsOf({ modules: [base], shape, format, parts }: PackedMatrix): TensorInput[] {
  const [rows, columns] = shape;
  const { group, zeroPoints } = parseIntegerGroups(format) as NonNullable<
    ReturnType<typeof parseIntegerGroups>
  >;
  const groups = columns / group;
  const [codes, scales, zeros] = parts;
  const weights = async () =>
    packNibbles(unpackCodes((await valuesOf(codes)) as Uint8Array, rows, columns, 4), rows, columns);
  const zeroPointWords = async () =>
    packNibbles(
      zeroPoints ? ((await valuesOf(zeros)) as Uint8Array) : new Uint8Array(rows * groups).fill(8),
      rows,
      groups,
    );
  const scaleRows = async () => transposed((await valuesOf(scales)) as Uint16Array, rows, groups);
  return [
    stored(`${base}.qweight`, 'I32', [columns, rows / 8], weights),
    stored(`${base}.qzeros`, 'I32', [groups, rows / 8], zeroPointWords),
    stored(`${base}.scales`, 'F16', [groups, rows], scaleRows),
  ];
}

/** Nibbles [rows, count] → words [count, rows / 8]. */
function packNibbles(nibbles: Uint8Array, rows: number, count: number): Uint32Array {
  const words = new Uint32Array((rows / 8) * count);
  for (let i = 0; i < words.length; i++) {
    const column = Math.floor(i / (rows / 8));
    const first = (i % (rows / 8)) * 8;
    for (let n = 0; n < 8; n++) words[i] |= nibbles[(first + ROW_OF_NIBBLE[n]) * count + column] << (4 * n);
  }
  return words;
}
