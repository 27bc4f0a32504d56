import { type IntegerGroups, parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { TensorInput } from '../tensor-input.js';
import { groupsOfOrder, restoreColumns, streamOfCodes, transposed, unpackCodes } from './bit-streams.js';
import {
  type PackedMatrix,
  type Settings,
  stored,
  valuesOf,
  type WritableLayout,
} from './quantized-matrix.js';

/**
 * GPTQ as AutoGPTQ and GPTQModel write it, and vLLM and transformers read it: see `gptq.ts`. Symmetric groups are stored in
 * the first version, whose zero points are one less; groups with zero points of their own in the second, because the
 * first has no place for zero.
 */
export const gptqWriter: WritableLayout = {
  refusal: ({ format, shape: [rows, columns], isEmbedding }) => {
    const groups = parseIntegerGroups(format);
    if (!groups) return 'GPTQ has integer groups alone';
    if (isEmbedding) return 'GPTQ has no packed embeddings';
    if (groups.scale !== 'f16') return `GPTQ has scales in f16, not ${groups.scale}`;
    if (columns % groups.group !== 0)
      return `GPTQ has no shorter last group: ${columns} columns are no multiple of ${groups.group}`;
    const odd = [rows, columns].find((size) => (size * groups.bits) % 32 !== 0);
    return odd === undefined ? null : `${odd} codes of ${groups.bits} bits do not fill words of 32 bits`;
  },

  together(matrices) {
    const shapes = new Set(matrices.map(({ format }) => JSON.stringify(quantityOf(format))));
    return shapes.size <= 1
      ? null
      : 'GPTQ has one number of bits, group size and kind of zero points for all layers';
  },

  tensors: (matrix) => tensorsOf(matrix, groupsOf(matrix.format)),

  settings(matrices, dense) {
    const { bits, group, zeroPoints } = groupsOf(matrices[0].format);
    // Layers of blocks are taken for quantised; heads and embeddings are not.
    const skipped = dense.filter((name) => /\.\d+\./.test(name));
    return {
      quant_method: 'gptq',
      checkpoint_format: zeroPoints ? 'gptq_v2' : 'gptq',
      bits,
      group_size: group,
      desc_act: matrices.some(({ format }) => groupsOf(format).ordered),
      sym: !zeroPoints,
      lm_head: matrices.some(({ modules: [name] }) => !/\.\d+\./.test(name)),
      pack_dtype: 'int32',
      true_sequential: true,
      ...(skipped.length > 0 && {
        dynamic: Object.fromEntries(skipped.map((name) => [`-:^${name.replaceAll('.', '\\.')}$`, {}])),
      }),
    };
  },

  files: (settings: Settings) => ({ 'quantize_config.json': JSON.stringify(settings, null, 2) }),
};

function groupsOf(format: string): IntegerGroups {
  const groups = parseIntegerGroups(format);
  if (!groups) throw new RangeError(`${format} has no integer groups`);
  return groups;
}

/** What must be the same in all layers. */
function quantityOf(format: string) {
  const { bits, group, zeroPoints } = groupsOf(format);
  return { bits, group, zeroPoints };
}

function tensorsOf(
  { modules: [base], shape, parts }: PackedMatrix,
  { bits, group, zeroPoints, ordered }: IntegerGroups,
): TensorInput[] {
  const [rows, columns] = shape;
  const groups = columns / group;
  const [codes, scales, zeros] = parts;
  const order = async () =>
    ordered
      ? ((await valuesOf(parts[parts.length - 1])) as Int32Array)
      : Int32Array.from({ length: columns }, (_, c) => c);
  const weights = async () => {
    const plain = unpackCodes((await valuesOf(codes)) as Uint8Array, rows, columns, bits);
    return streamOfCodes(
      transposed(restoreColumns(plain, columns, await order()), rows, columns),
      columns,
      rows,
      bits,
    );
  };
  const zeroPointWords = async () => {
    const values = zeroPoints
      ? ((await valuesOf(zeros)) as Uint8Array)
      : new Uint8Array(rows * groups).fill(2 ** (bits - 1) - 1);
    const words = streamOfCodes(values, rows, groups, bits);
    return transposed(words, (rows * bits) / 32, groups);
  };
  const scaleRows = async () => transposed((await valuesOf(scales)) as Uint16Array, rows, groups);
  return [
    stored(`${base}.qweight`, 'I32', [(columns * bits) / 32, rows], weights),
    stored(`${base}.qzeros`, 'I32', [groups, (rows * bits) / 32], zeroPointWords),
    stored(`${base}.scales`, 'F16', [groups, rows], scaleRows),
    stored(`${base}.g_idx`, 'I32', [columns], async () => groupsOfOrder(await order(), group)),
  ];
}
