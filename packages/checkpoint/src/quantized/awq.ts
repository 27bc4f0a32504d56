import { integerGroupsName } from '@frugal/tensor-core/formats';
import { typedArrayOf } from '../numeric/convert.js';
import type { TensorSource } from '../tensor-source.js';
import { packCodes, transposed } from './bit-streams.js';
import { ModuleTensors, type QuantizedLayout, type QuantizedMatrix } from './quantized-matrix.js';
import { SettingsReader } from './settings.js';

/** Which of eight neighbouring rows nibble i of a word belongs to: the order in which AWQ's GPU kernel unpacks them. */
export const ROW_OF_NIBBLE = [0, 2, 4, 6, 1, 3, 5, 7];

/**
 * AWQ's GEMM version: `qweight` I32 [columns, rows / 8] and `qzeros` I32 [groups, rows / 8], eight rows to a word in the
 * order above; `scales` F16 [groups, rows]. value = scale · (code - zero).
 */
export const awq: QuantizedLayout = {
  open(settings, source) {
    const reader = new SettingsReader(settings);
    reader.integer('bits', [4]);
    reader.oneOf('version', ['gemm', 'GEMM'], 'gemm');
    const groupSize = reader.integer('group_size', undefined, 128);
    return (base, shape) =>
      source.entries.has(`${base}.qweight`) ? matrixOf(base, shape, groupSize, source) : null;
  },
};

function matrixOf(
  base: string,
  shape: readonly [number, number],
  groupSize: number,
  source: TensorSource,
): QuantizedMatrix {
  const [rows, columns] = shape;
  const group = groupSize > 0 ? Math.min(groupSize, columns) : columns;
  const groups = Math.ceil(columns / group);
  const tensors = new ModuleTensors(source, base);
  tensors.expect('qweight', ['I32'], [columns, rows / 8]);
  tensors.expect('qzeros', ['I32'], [groups, rows / 8]);
  tensors.expect('scales', ['F16'], [groups, rows]);
  return {
    format: integerGroupsName({ bits: 4, group, zeroPoints: true, scale: 'f16', ordered: false }),
    shape,
    tensors: tensors.names,
    activation: 'suited',
    problems: tensors.problems,
    async read() {
      const codes = unpackNibbles(await tensors.words('qweight'), columns, rows);
      const zeros = unpackNibbles(await tensors.words('qzeros'), groups, rows);
      const scales = transposed(typedArrayOf(await tensors.bytes('scales'), 'F16'), groups, rows);
      return [packCodes(codes, rows, columns, 4), scales, zeros];
    },
  };
}

/** Words [count, rows / 8] → nibbles [rows, count]. */
function unpackNibbles(words: Uint32Array, count: number, rows: number): Uint8Array {
  const nibbles = new Uint8Array(rows * count);
  for (let i = 0; i < words.length; i++) {
    const column = Math.floor(i / (rows / 8));
    const first = (i % (rows / 8)) * 8;
    for (let n = 0; n < 8; n++)
      nibbles[(first + ROW_OF_NIBBLE[n]) * count + column] = (words[i] >>> (4 * n)) & 15;
  }
  return nibbles;
}
