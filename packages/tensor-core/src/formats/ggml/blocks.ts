import { f16ToFloat, floatToF16 } from '../../dtype.js';
import { ArgumentError } from '../../errors.js';
import type { PackedFormat } from '../format.js';
import { columnWeights } from '../importance.js';

/** One block of a ggml type: `columns` values of a row in `bytes` bytes, as they lie in GGUF files. */
export interface BlockCodec {
  readonly name: string;
  readonly columns: number;
  readonly bytes: number;
  /**
   * `values` has one block; `block` is zeroed. With `weights`, one for each value, scales are searched for the smallest
   * Σ weight · (value - decoded)²; without, legacy types have the bytes of ggml's reference.
   */
  encode(values: Float32Array, block: Uint8Array, weights?: Float32Array): void;
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
    rowByRow: true,
    weighsColumns: true,
    pack: (values, _rows, columns, { importance } = {}) => {
      if (importance) return [packWeighted(codec, values, columns, importance)];
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

/** Every block twice, with weights and without, and the one with the smaller weighted error kept. */
function packWeighted(
  { name, columns: width, bytes: size, encode, decode }: BlockCodec,
  values: Float32Array,
  columns: number,
  importance: Float32Array,
): Uint8Array {
  const weights = columnWeights(name, importance, columns);
  const blocks = new Uint8Array((values.length / width) * size);
  const [searched, decoded] = [new Uint8Array(size), new Float32Array(width)];
  const errorOf = (bytes: Uint8Array, start: number, first: number) => {
    decode(bytes, start, decoded, 0);
    let error = 0;
    for (let i = 0; i < width; i++)
      error += weights[(first + i) % columns] * (values[first + i] - decoded[i]) ** 2;
    return error;
  };
  for (let i = 0; i * width < values.length; i++) {
    const first = i * width;
    const given = values.subarray(first, first + width);
    encode(given, blocks.subarray(i * size, (i + 1) * size));
    encode(given, searched.fill(0), weights.subarray(first % columns, (first % columns) + width));
    if (errorOf(searched, 0, first) < errorOf(blocks, i * size, first)) blocks.set(searched, i * size);
  }
  return blocks;
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
