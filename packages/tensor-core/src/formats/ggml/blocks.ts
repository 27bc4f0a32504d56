import { f16ToFloat, floatToF16 } from '../../dtype.js';
import { ArgumentError } from '../../errors.js';
import type { PackedFormat } from '../format.js';

/** One block of a ggml type: `columns` values of a row in `bytes` bytes, as they lie in GGUF files. */
export interface BlockCodec {
  readonly name: string;
  readonly columns: number;
  readonly bytes: number;
  /** `values` has one block; `block` is zeroed. */
  encode(values: Float32Array, block: Uint8Array): void;
  decode(bytes: Uint8Array, start: number, out: Float32Array, outStart: number): void;
}

/** A ggml type as a packed format of one part, `blocks` u8 [rows, bytes per row]: the bytes of a GGUF tensor. */
export function ggmlFormat(codec: BlockCodec): PackedFormat {
  const { name, columns: width, bytes: size } = codec;
  return {
    name,
    activation: 'int8-block32',
    parts: (rows, columns) => {
      if (columns % width !== 0) {
        throw new ArgumentError({
          where: name,
          what: 'rows are not whole blocks',
          got: `${columns} columns`,
          expected: `a multiple of ${width}`,
          hint:
            width > 32
              ? 'Formats with blocks of 32 (q8_0, q5_1, q4_1, …) or integer groups fit more matrices.'
              : 'Integer groups (int4-g32, …) have no such limit.',
        });
      }
      return [{ name: 'blocks', dtype: 'u8', shape: [rows, (columns / width) * size] }];
    },
    pack: (values) => {
      const blocks = new Uint8Array((values.length / width) * size);
      for (let i = 0; i * width < values.length; i++) {
        codec.encode(values.subarray(i * width, (i + 1) * width), blocks.subarray(i * size, (i + 1) * size));
      }
      return [blocks];
    },
    unpack: ([blocks], { columns, rowStart, rowCount }, out) => {
      const perRow = columns / width;
      for (let i = 0; i < rowCount * perRow; i++) {
        codec.decode(blocks as Uint8Array, (rowStart * perRow + i) * size, out, i * width);
      }
    },
  };
}

/** The f16 at a byte position, as a number. */
export function readHalf(bytes: Uint8Array, at: number): number {
  return f16ToFloat(bytes[at] | (bytes[at + 1] << 8));
}

/** Writes the nearest f16; returns its value. */
export function writeHalf(bytes: Uint8Array, at: number, value: number): number {
  const bits = floatToF16(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >>> 8;
  return f16ToFloat(bits);
}
