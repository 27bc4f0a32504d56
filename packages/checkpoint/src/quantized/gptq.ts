import { integerGroupsName } from '@frugal/tensor-core/formats';
import { CheckpointFormatError } from '../errors.js';
import { typedArrayOf } from '../numeric/convert.js';
import type { TensorSource } from '../tensor-source.js';
import { codeAt, orderOfGroups, packCodes, reorderColumns, transposed } from './bit-streams.js';
import { ModuleTensors, type QuantizedLayout, type QuantizedMatrix } from './quantized-matrix.js';
import { SettingsReader } from './settings.js';

interface Gptq {
  readonly bits: 2 | 3 | 4 | 8;
  /** Columns per scale; -1: all. */
  readonly groupSize: number;
  readonly actOrder: boolean;
  /** The first version stores zero points less one. */
  readonly zeroOffset: 0 | 1;
}

/**
 * GPTQ (AutoGPTQ, GPTQModel): `qweight` I32 [columns · bits / 32, rows], codes down the columns as one stream of bits;
 * `qzeros` I32 [groups, rows · bits / 32]; `scales` [groups, rows]; `g_idx` I32 [columns], the group of each column.
 * value = scale · (code - zero), with zero = stored + 1 in `checkpoint_format: "gptq"` and zero = stored in "gptq_v2".
 */
export const gptq: QuantizedLayout = {
  open(settings, source) {
    const reader = new SettingsReader(settings);
    const version = reader.oneOf('checkpoint_format', ['gptq', 'gptq_v2'], 'gptq');
    const options: Gptq = {
      bits: reader.integer('bits', [2, 3, 4, 8]) as Gptq['bits'],
      groupSize: reader.integer('group_size', undefined, 128),
      actOrder: reader.oneOf('desc_act', [true, false], false),
      zeroOffset: version === 'gptq' ? 1 : 0,
    };
    return (base, shape) =>
      source.entries.has(`${base}.qweight`) ? matrixOf(base, shape, options, source) : null;
  },
};

function matrixOf(
  base: string,
  shape: readonly [number, number],
  { bits, groupSize, actOrder, zeroOffset }: Gptq,
  source: TensorSource,
): QuantizedMatrix {
  const [rows, columns] = shape;
  const group = groupSize > 0 ? Math.min(groupSize, columns) : columns;
  const groups = Math.ceil(columns / group);
  const tensors = new ModuleTensors(source, base);
  tensors.expect('qweight', ['I32'], [(columns * bits) / 32, rows]);
  tensors.expect('qzeros', ['I32'], [groups, (rows * bits) / 32]);
  tensors.expect('scales', ['F16'], [groups, rows]);
  const hasOrder = tensors.optional('g_idx') !== undefined;
  const ordered = actOrder && hasOrder;
  return {
    format: integerGroupsName({ bits, group, zeroPoints: true, scale: 'f16', ordered }),
    shape,
    tensors: tensors.names,
    activation: 'suited',
    problems: tensors.problems,
    async read() {
      if (hasOrder && !ordered) requireInOrder(await tensors.integers('g_idx'), group, base);
      const weights = await tensors.words('qweight');
      const codes = new Uint8Array(rows * columns);
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++)
          codes[r * columns + c] = codeAt((word) => weights[word * rows + r], c, bits);
      const words = await tensors.words('qzeros');
      const width = (rows * bits) / 32;
      const zeros = new Uint8Array(rows * groups);
      for (let g = 0; g < groups; g++)
        for (let r = 0; r < rows; r++)
          zeros[r * groups + g] = codeAt((word) => words[g * width + word], r, bits) + zeroOffset;
      const scales = transposed(typedArrayOf(await tensors.bytes('scales'), 'F16'), groups, rows);
      if (!ordered) return [packCodes(codes, rows, columns, bits), scales, zeros];
      const order =
        orderOfGroups(await tensors.integers('g_idx'), group) ??
        Int32Array.from({ length: columns }, (_, c) => c);
      return [packCodes(reorderColumns(codes, columns, order), rows, columns, bits), scales, zeros, order];
    },
  };
}

/** Readers of GPTQ follow `g_idx` whatever `desc_act` says; it decides here which format the matrix has. */
function requireInOrder(groups: Int32Array, groupSize: number, base: string): void {
  const odd = groups.findIndex((group, column) => group !== Math.floor(column / groupSize));
  if (odd < 0) return;
  throw new CheckpointFormatError({
    file: `config.json: quantization_config`,
    what: `desc_act is false, but ${base}.g_idx is not in order`,
    got: `group ${groups[odd]} for column ${odd}`,
    expected: `group ${Math.floor(odd / groupSize)}`,
    hint: 'Set desc_act to true: the columns were quantised in another order.',
  });
}
