import { ArgumentError } from '../../errors.js';
import { writeCode } from '../bits.js';
import type { PackedFormat, PartArray } from '../format.js';
import { integerGroupsName } from '../integer-groups.js';

/** One block of a ggml type that is only read: small whole numbers, and a scale for each group of columns. */
export interface CodedBlocks {
  readonly name: string;
  readonly columns: number;
  readonly bytes: number;
  /** Columns that share a scale. */
  readonly group: number;
  /** What the whole numbers fit into. */
  readonly bits: 2 | 3 | 8;
  /** value = scales[⌊column / group⌋] · codes[column], exact in f32. */
  read(bytes: Uint8Array, start: number, codes: Int8Array, scales: Float32Array): void;
}

/** A ggml type that is only read, as a packed format of one part: the bytes of a GGUF tensor. */
export function readOnlyFormat(codec: CodedBlocks): PackedFormat {
  const { name, columns: width, bytes: size, group } = codec;
  const checkWidth = (columns: number) => {
    if (columns % width === 0) return;
    throw new ArgumentError({
      where: name,
      what: 'rows are not whole blocks',
      got: `${columns} columns`,
      expected: `a multiple of ${width}`,
    });
  };
  return {
    name,
    activation: 'int8-block32',
    parts: (rows, columns) => {
      checkWidth(columns);
      return [{ name: 'blocks', dtype: 'u8', shape: [rows, (columns / width) * size] }];
    },
    pack: () => {
      throw new ArgumentError({
        where: name,
        what: 'numbers of this type are read, not written',
        hint: 'q4_k, iq4_nl, q3_k or q2_k are of similar size.',
      });
    },
    unpack: ([blocks], { columns, rowStart, rowCount }, out) => {
      const perRow = columns / width;
      const [codes, scales] = [new Int8Array(width), new Float32Array(width / group)];
      for (let i = 0; i < rowCount * perRow; i++) {
        codec.read(blocks as Uint8Array, (rowStart * perRow + i) * size, codes, scales);
        for (let c = 0; c < width; c++) out[i * width + c] = scales[Math.floor(c / group)] * codes[c];
      }
    },
  };
}

/** The name of integer groups, and their parts. */
export interface IntegerGroupParts {
  readonly format: string;
  readonly parts: readonly PartArray[];
}

/** A matrix of a read-only type as the integer groups that hold the same numbers, which kernels know. */
export function integerGroupsOf(
  { columns: width, bytes: size, group, bits, read }: CodedBlocks,
  blocks: Uint8Array,
): IntegerGroupParts {
  const count = blocks.length / size;
  const codes = new Uint8Array((count * width * bits) / 8);
  const scales = new Float32Array((count * width) / group);
  const [numbers, perBlock, codeBytes] = [new Int8Array(width), width / group, (width * bits) / 8];
  for (let i = 0; i < count; i++) {
    read(blocks, i * size, numbers, scales.subarray(i * perBlock, (i + 1) * perBlock));
    for (let c = 0; c < width; c++) writeCode(codes, i * codeBytes, c, bits, numbers[c] + 2 ** (bits - 1));
  }
  const format = integerGroupsName({ bits, group, zeroPoints: false, scale: 'f32', ordered: false });
  return { format, parts: [codes, scales] };
}
