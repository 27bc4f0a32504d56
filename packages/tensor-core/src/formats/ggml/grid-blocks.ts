import { f16ToFloat } from '../../dtype.js';
import { readHalf } from './blocks.js';
import type { CodedBlocks } from './coded-blocks.js';
import { packedGrids } from './grids.js';

// Types whose codes name points of a grid, 4 or 8 numbers at a time. Layouts as in ggml-common.h, values as in
// ggml-quants.c and gguf-py.

/** A grid's points one after the other, unpacked when first needed. */
function grid(name: keyof typeof packedGrids, levels: readonly number[]): () => Int8Array {
  let points: Int8Array | undefined;
  return () => {
    if (points) return points;
    const bits = levels.length > 4 ? 4 : 2;
    const bytes = Uint8Array.from(atob(packedGrids[name]), (character) => character.charCodeAt(0));
    points = new Int8Array((bytes.length * 8) / bits);
    const perByte = 8 / bits;
    for (let i = 0; i < points.length; i++)
      points[i] = levels[(bytes[Math.floor(i / perByte)] >>> (bits * (i % perByte))) & (2 ** bits - 1)];
    return points;
  };
}

const pairLevels = [8, 25, 43];
const iq2xxs = grid('iq2xxs', pairLevels);
const iq2xs = grid('iq2xs', pairLevels);
const iq2s = grid('iq2s', pairLevels);
const iq3xxs = grid('iq3xxs', [4, 12, 20, 28, 36, 44, 52, 62]);
const iq3s = grid('iq3s', [1, 3, 5, 7, 9, 11, 13, 15]);
const iq1 = grid('iq1', [-1, 0, 1]);

/** Copies `count` numbers of a point; set bits of `signs` turn them around. */
function place(
  points: Int8Array,
  point: number,
  { count, signs }: { count: number; signs: number },
  codes: Int8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    const value = points[point * count + i];
    codes[to + i] = (signs >>> i) & 1 ? -value : value;
  }
}

/** Seven signs and an eighth that makes the number of set ones even. */
function evenSigns(seven: number): number {
  let parity = seven ^ (seven >>> 4);
  parity ^= parity >>> 2;
  parity ^= parity >>> 1;
  return seven | ((parity & 1) << 7);
}

const word16 = (bytes: Uint8Array, at: number) => bytes[at] | (bytes[at + 1] << 8);
const word32 = (bytes: Uint8Array, at: number) => (word16(bytes, at) | (word16(bytes, at + 2) << 16)) >>> 0;
const nibble = (bytes: Uint8Array, at: number, index: number) =>
  (bytes[at + (index >>> 1)] >>> (4 * (index & 1))) & 15;

export const iq2_xxs: CodedBlocks = {
  ...{ name: 'iq2_xxs', columns: 256, bytes: 66, group: 32, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 8; g++) {
      const at = start + 2 + 8 * g;
      const word = word32(bytes, at + 4);
      scales[g] = d * (0.5 + (word >>> 28)) * 0.25;
      for (let l = 0; l < 4; l++) {
        const signs = evenSigns((word >>> (7 * l)) & 127);
        place(iq2xxs(), bytes[at + l], { count: 8, signs }, codes, 32 * g + 8 * l);
      }
    }
  },
};

export const iq2_xs: CodedBlocks = {
  ...{ name: 'iq2_xs', columns: 256, bytes: 74, group: 16, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 16; g++) scales[g] = d * (0.5 + nibble(bytes, start + 66, g)) * 0.25;
    for (let l = 0; l < 32; l++) {
      const code = word16(bytes, start + 2 + 2 * l);
      place(iq2xs(), code & 511, { count: 8, signs: evenSigns(code >>> 9) }, codes, 8 * l);
    }
  },
};

export const iq2_s: CodedBlocks = {
  ...{ name: 'iq2_s', columns: 256, bytes: 82, group: 16, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 16; g++) scales[g] = d * (0.5 + nibble(bytes, start + 74, g)) * 0.25;
    for (let l = 0; l < 32; l++) {
      const high = (bytes[start + 66 + (l >>> 2)] >>> (2 * (l & 3))) & 3;
      const point = bytes[start + 2 + l] | (high << 8);
      place(iq2s(), point, { count: 8, signs: bytes[start + 34 + l] }, codes, 8 * l);
    }
  },
};

export const iq3_xxs: CodedBlocks = {
  ...{ name: 'iq3_xxs', columns: 256, bytes: 98, group: 32, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 8; g++) {
      const word = word32(bytes, start + 66 + 4 * g);
      scales[g] = d * (0.5 + (word >>> 28)) * 0.5;
      for (let l = 0; l < 8; l++) {
        const signs = evenSigns((word >>> (7 * (l >>> 1))) & 127) >>> (4 * (l & 1));
        place(iq3xxs(), bytes[start + 2 + 8 * g + l], { count: 4, signs }, codes, 32 * g + 4 * l);
      }
    }
  },
};

export const iq3_s: CodedBlocks = {
  ...{ name: 'iq3_s', columns: 256, bytes: 110, group: 32, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 8; g++) scales[g] = d * (1 + 2 * nibble(bytes, start + 106, g));
    for (let l = 0; l < 64; l++) {
      const high = (bytes[start + 66 + (l >>> 3)] >>> (l & 7)) & 1;
      const signs = bytes[start + 74 + (l >>> 1)] >>> (4 * (l & 1));
      place(iq3s(), bytes[start + 2 + l] | (high << 8), { count: 4, signs }, codes, 4 * l);
    }
  },
};

/** Eight times a point of -1, 0 and 1, moved up or down by one: the scale is an eighth. */
function placeMoved(point: number, move: 1 | -1, codes: Int8Array, to: number): void {
  const points = iq1();
  for (let i = 0; i < 8; i++) codes[to + i] = 8 * points[8 * point + i] + move;
}

export const iq1_s: CodedBlocks = {
  ...{ name: 'iq1_s', columns: 256, bytes: 50, group: 32, bits: 8 },
  read(bytes, start, codes, scales) {
    const d = readHalf(bytes, start);
    for (let g = 0; g < 8; g++) {
      const high = word16(bytes, start + 34 + 2 * g);
      scales[g] = (d * (2 * ((high >>> 12) & 7) + 1)) / 8;
      for (let l = 0; l < 4; l++) {
        const point = bytes[start + 2 + 4 * g + l] | (((high >>> (3 * l)) & 7) << 8);
        placeMoved(point, high & 0x8000 ? -1 : 1, codes, 32 * g + 8 * l);
      }
    }
  },
};

export const iq1_m: CodedBlocks = {
  ...{ name: 'iq1_m', columns: 256, bytes: 56, group: 16, bits: 8 },
  read(bytes, start, codes, scales) {
    const words = [0, 1, 2, 3].map((i) => word16(bytes, start + 48 + 2 * i));
    // The f16 lies in the upper four bits of each word.
    const d = f16ToFloat(words.reduce((bits, word, i) => bits | ((word >>> 12) << (4 * i)), 0));
    for (let g = 0; g < 16; g++) scales[g] = (d * (2 * ((words[g >>> 2] >>> (3 * (g & 3))) & 7) + 1)) / 8;
    for (let l = 0; l < 32; l++) {
      const high = nibble(bytes, start + 32, l);
      placeMoved(bytes[start + l] | ((high & 7) << 8), high & 8 ? -1 : 1, codes, 8 * l);
    }
  },
};
