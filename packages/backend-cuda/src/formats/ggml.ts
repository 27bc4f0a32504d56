import { iq4Values } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import { Bytes } from './bytes.js';
import type { Unpacker } from './unpacker.js';

/** Blocks [n, bytes] as f32 [n, columns]; the layouts are those of `@frugal/tensor-core/formats`. */
type BlockDecoder = (blocks: Bytes) => Value;

function binary(op: 'Mul' | 'Sub' | 'AddV2', blocks: Bytes, a: Value, b: Value): Value {
  return blocks.device.run(op, [a, b]);
}

function minus(blocks: Bytes, a: Value, number: number): Value {
  return binary('Sub', blocks, a, blocks.device.scalar(number, 'f32'));
}

/** Codes of blocks of 32: column i and i + 16 share a byte; a fifth bit each lies in the 4 bytes before. */
function simpleCodes(blocks: Bytes, at: number, bits: 4 | 5): Bytes {
  const low = blocks.at(bits === 5 ? at + 4 : at, 16);
  const nibbles = low.and(15).concat(low.shiftRight(4), 1);
  if (bits === 4) return nibbles;
  const n = blocks.shape[0];
  const fifth = blocks.at(at, 4).reshape(n, 4, 1).split(1, 1).reshape(n, 32);
  return nibbles.or(fifth.shiftLeft(4));
}

function symmetric(bits: 4 | 5): BlockDecoder {
  return (blocks) => {
    const codes = minus(blocks, simpleCodes(blocks, 2, bits).numbers(), 2 ** (bits - 1));
    return binary('Mul', blocks, codes, blocks.half(0));
  };
}

function affine(bits: 4 | 5): BlockDecoder {
  return (blocks) => {
    const scaled = binary('Mul', blocks, simpleCodes(blocks, 4, bits).numbers(), blocks.half(0));
    return binary('AddV2', blocks, scaled, blocks.half(2));
  };
}

/** Two bits of each of 256 columns [n, 256]: four groups of 32 columns share 32 bytes. */
function crumbs(blocks: Bytes, at: number): Bytes {
  const n = blocks.shape[0];
  return blocks.at(at, 64).reshape(n, 2, 32).split(2, 1).reshape(n, 256);
}

/** Four bits of each: two groups of `width` columns share `width` bytes. */
function nibbles(blocks: Bytes, at: number, width: 32 | 64): Bytes {
  const n = blocks.shape[0];
  return blocks
    .at(at, 128)
    .reshape(n, 128 / width, width)
    .split(4, 1)
    .reshape(n, 256);
}

/** One more bit: bit g of byte l belongs to column 32 g + l. */
function singleBits(blocks: Bytes, at: number): Bytes {
  const n = blocks.shape[0];
  return blocks.at(at, 32).split(1, 1).reshape(n, 256);
}

/** codes [n, 256] times scales [n, 256 / width] minus minima of the same shape. */
function scaled(blocks: Bytes, codes: Value, scales: Value, minima?: Value): Value {
  const { device } = blocks;
  const n = blocks.shape[0];
  const groups = scales.shape[1];
  const apart = device.reshape(codes, [n, groups, 256 / groups]);
  const product = binary('Mul', blocks, apart, device.reshape(scales, [n, groups, 1]));
  const result = minima ? binary('Sub', blocks, product, device.reshape(minima, [n, groups, 1])) : product;
  return device.reshape(result, [n, 256]);
}

const q2_k: BlockDecoder = (blocks) => {
  const both = blocks.at(0, 16);
  const scales = binary('Mul', blocks, both.and(15).numbers(), blocks.half(80));
  const minima = binary('Mul', blocks, both.shiftRight(4).numbers(), blocks.half(82));
  return scaled(blocks, crumbs(blocks, 16).numbers(), scales, minima);
};

const q3_k: BlockDecoder = (blocks) => {
  const n = blocks.shape[0];
  const low = blocks.at(96, 8);
  const high = blocks.at(104, 4).split(2, 1).reshape(n, 16);
  const whole = low.and(15).concat(low.shiftRight(4), 1).or(high.shiftLeft(4));
  const scales = binary('Mul', blocks, minus(blocks, whole.numbers(), 32), blocks.half(108));
  const codes = crumbs(blocks, 32).or(singleBits(blocks, 0).shiftLeft(2));
  return scaled(blocks, minus(blocks, codes.numbers(), 4), scales);
};

/** q4_k and q5_k: scales and minima of 6 bits in 12 bytes. */
function affineSuperBlock(bits: 4 | 5): BlockDecoder {
  return (blocks) => {
    const [first, second, third] = [4, 8, 12].map((at) => blocks.at(at, 4));
    const wholeScales = first.and(63).concat(third.and(15).or(first.shiftRight(6).shiftLeft(4)), 1);
    const wholeMinima = second.and(63).concat(third.shiftRight(4).or(second.shiftRight(6).shiftLeft(4)), 1);
    const scales = binary('Mul', blocks, wholeScales.numbers(), blocks.half(0));
    const minima = binary('Mul', blocks, wholeMinima.numbers(), blocks.half(2));
    const low = nibbles(blocks, bits === 5 ? 48 : 16, 32);
    const codes = bits === 5 ? low.or(singleBits(blocks, 16).shiftLeft(4)) : low;
    return scaled(blocks, codes.numbers(), scales, minima);
  };
}

const q6_k: BlockDecoder = (blocks) => {
  const codes = nibbles(blocks, 0, 64).or(crumbs(blocks, 128).shiftLeft(4));
  const scales = binary('Mul', blocks, blocks.at(192, 16).signed(), blocks.half(208));
  return scaled(blocks, minus(blocks, codes.numbers(), 32), scales);
};

const decoders: Readonly<Record<string, readonly [columns: number, bytes: number, decode: BlockDecoder]>> = {
  q8_0: [32, 34, (blocks) => binary('Mul', blocks, blocks.at(2, 32).signed(), blocks.half(0))],
  q4_0: [32, 18, symmetric(4)],
  q5_0: [32, 22, symmetric(5)],
  q4_1: [32, 20, affine(4)],
  q5_1: [32, 24, affine(5)],
  iq4_nl: [
    32,
    18,
    (blocks) => binary('Mul', blocks, simpleCodes(blocks, 2, 4).lookUp('iq4_nl', iq4Values), blocks.half(0)),
  ],
  q2_k: [256, 84, q2_k],
  q3_k: [256, 110, q3_k],
  q4_k: [256, 144, affineSuperBlock(4)],
  q5_k: [256, 176, affineSuperBlock(5)],
  q6_k: [256, 210, q6_k],
};

/** ggml's block formats: one part, `blocks` u8 [rows, bytes per row]. */
export function ggmlUnpacker(format: string): Unpacker | null {
  const found = decoders[format];
  if (!found) return null;
  const [width, size, decode] = found;
  return (device, [rows], columns) => {
    const blocks = device.reshape(rows, [(rows.shape[0] * columns) / width, size]);
    return device.reshape(decode(new Bytes(device, blocks)), [rows.shape[0], columns]);
  };
}
