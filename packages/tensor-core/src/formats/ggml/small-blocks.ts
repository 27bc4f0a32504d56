import { readHalf } from './blocks.js';
import type { CodedBlocks } from './coded-blocks.js';
import { iq4Values } from './simple-blocks.js';

// Layouts as in ggml-common.h, values as in ggml-quants.c and gguf-py.

/** Nibbles of 16 bytes: the low ones are columns 0 … 15, the high ones 16 … 31. */
function readNibbles(
  bytes: Uint8Array,
  start: number,
  { count, values }: { count: number; values: readonly number[] },
  codes: Int8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    codes[to + i] = values[bytes[start + i] & 15];
    codes[to + count + i] = values[bytes[start + i] >>> 4];
  }
}

/** Codes of iq4_nl; whole-number scales of 6 bits per 32 columns, times an f16. */
export const iq4_xs: CodedBlocks = {
  name: 'iq4_xs',
  columns: 256,
  bytes: 136,
  group: 32,
  bits: 8,
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    const high = bytes[start + 2] | (bytes[start + 3] << 8);
    for (let j = 0; j < 8; j++) {
      const low = (bytes[start + 4 + (j >>> 1)] >>> (4 * (j & 1))) & 15;
      scales[j] = d * ((low | (((high >>> (2 * j)) & 3) << 4)) - 32);
      readNibbles(bytes, start + 8 + 16 * j, { count: 16, values: iq4Values }, codes, 32 * j);
    }
  },
};

/** Twice the numbers of E2M1: the scale is half of what the block says. */
const E2M1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** E2M1 with a power of two per 32 columns (OCP Microscaling Formats 1.0). */
export const mxfp4: CodedBlocks = {
  name: 'mxfp4',
  columns: 32,
  bytes: 17,
  group: 32,
  bits: 8,
  read(bytes, start, codes, scales) {
    scales[0] = 2 ** (bytes[start] - 128);
    readNibbles(bytes, start + 1, { count: 16, values: E2M1 }, codes, 0);
  },
};

/** Half of an E4M3 number without sign. */
function halfUnsignedE4m3(byte: number): number {
  if (byte === 0x7f) return 0;
  const [exponent, mantissa] = [(byte >>> 3) & 15, byte & 7];
  return exponent === 0 ? mantissa * 2 ** -10 : (1 + mantissa / 8) * 2 ** (exponent - 8);
}

/** E2M1 with an E4M3 scale per 16 columns. */
export const nvfp4: CodedBlocks = {
  name: 'nvfp4',
  columns: 64,
  bytes: 36,
  group: 16,
  bits: 8,
  read(bytes, start, codes, scales) {
    for (let j = 0; j < 4; j++) {
      scales[j] = halfUnsignedE4m3(bytes[start + j]);
      readNibbles(bytes, start + 4 + 8 * j, { count: 8, values: E2M1 }, codes, 16 * j);
    }
  },
};

/** -1, 0 and 1 in base 3, five to a byte as a fraction of 256. */
export const tq1_0: CodedBlocks = {
  name: 'tq1_0',
  columns: 256,
  bytes: 54,
  group: 256,
  bits: 2,
  read(bytes, start, codes, scales) {
    let at = 0;
    // Bytes of the run, and digits of each.
    for (const [from, count, digits] of [
      [0, 32, 5],
      [32, 16, 5],
      [48, 4, 4],
    ]) {
      for (let digit = 0; digit < digits; digit++)
        for (let i = 0; i < count; i++)
          codes[at++] = ((((bytes[start + from + i] * 3 ** digit) & 255) * 3) >>> 8) - 1;
    }
    scales[0] = readHalf(bytes, start + 52);
  },
};

/** -1, 0 and 1 in 2 bits, which could hold 2 as well. */
export const tq2_0: CodedBlocks = {
  name: 'tq2_0',
  columns: 256,
  bytes: 66,
  group: 256,
  bits: 3,
  read(bytes, start, codes, scales) {
    for (let c = 0; c < 256; c++)
      codes[c] = ((bytes[start + (c >>> 7) * 32 + (c & 31)] >>> (2 * ((c >>> 5) & 3))) & 3) - 1;
    scales[0] = readHalf(bytes, start + 64);
  },
};
