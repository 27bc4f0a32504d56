import { type BlockCodec, readHalf, writeHalf } from './blocks.js';
import { fitAffine, fitSymmetric } from './super-block-fit.js';

// 256 values in sub-blocks of 16 or 32 whose scales are whole numbers times an f16 (ggml's K-quants). Bit layouts as in
// ggml-common.h. Column c lies in group c >> 5 of 32 columns, at l = c & 31.

const { fround } = Math;
const COLUMNS = 256;
const codes = new Uint8Array(COLUMNS);
const equally = new Float32Array(COLUMNS).fill(1);

/** Two bits of each code: groups 4n … 4n + 3 share the bytes 32n … 32n + 31. */
function crumb(bytes: Uint8Array, at: number, c: number): number {
  const group = c >>> 5;
  return (bytes[at + (group >>> 2) * 32 + (c & 31)] >>> (2 * (group & 3))) & 3;
}
function addCrumb(bytes: Uint8Array, at: number, c: number, value: number): void {
  const group = c >>> 5;
  bytes[at + (group >>> 2) * 32 + (c & 31)] |= (value & 3) << (2 * (group & 3));
}

/** Four bits of each code: groups 2n and 2n + 1 share the bytes 32n … 32n + 31. */
function nibble(bytes: Uint8Array, at: number, c: number): number {
  const group = c >>> 5;
  return (bytes[at + (group >>> 1) * 32 + (c & 31)] >>> (4 * (group & 1))) & 15;
}
function addNibble(bytes: Uint8Array, at: number, c: number, value: number): void {
  const group = c >>> 5;
  bytes[at + (group >>> 1) * 32 + (c & 31)] |= (value & 15) << (4 * (group & 1));
}

/** The same for q6_k, where 64 columns lie side by side. */
function wideNibbleAt(c: number): number {
  return (c >>> 7) * 64 + (c & 63);
}
function wideNibbleShift(c: number): number {
  return c & 64 ? 4 : 0;
}

/** Scale (6 bits) and minimum (6 bits) of sub-block j, of q4_k and q5_k. */
function scaleAndMin(bytes: Uint8Array, at: number, j: number): [number, number] {
  if (j < 4) return [bytes[at + j] & 63, bytes[at + j + 4] & 63];
  return [
    (bytes[at + j + 4] & 15) | ((bytes[at + j - 4] >>> 6) << 4),
    (bytes[at + j + 4] >>> 4) | ((bytes[at + j] >>> 6) << 4),
  ];
}
function writeScaleAndMin(bytes: Uint8Array, at: number, j: number, scale: number, min: number): void {
  if (j < 4) {
    bytes[at + j] |= scale;
    bytes[at + j + 4] |= min;
  } else {
    bytes[at + j + 4] |= (scale & 15) | ((min & 15) << 4);
    bytes[at + j - 4] |= (scale >>> 4) << 6;
    bytes[at + j] |= (min >>> 4) << 6;
  }
}

export const q2_k: BlockCodec = {
  name: 'q2_k',
  columns: COLUMNS,
  bytes: 84,
  encode(values, block, weights = equally) {
    const fit = fitAffine(values, weights, { width: 16, largestCode: 3, largestScale: 15 }, codes);
    fit.scales.forEach((scale, j) => {
      block[j] = scale | (fit.mins[j] << 4);
    });
    for (let c = 0; c < COLUMNS; c++) addCrumb(block, 16, c, codes[c]);
    writeHalf(block, 80, fit.d);
    writeHalf(block, 82, fit.dMin);
  },
  decode(bytes, start, out, outStart) {
    const d = readHalf(bytes, start + 80);
    const dMin = readHalf(bytes, start + 82);
    for (let j = 0; j < 16; j++) {
      const scale = fround(d * (bytes[start + j] & 15));
      const min = fround(dMin * (bytes[start + j] >>> 4));
      for (let c = j * 16; c < j * 16 + 16; c++) {
        out[outStart + c] = fround(scale * crumb(bytes, start + 16, c)) - min;
      }
    }
  },
};

function q3Scale(bytes: Uint8Array, at: number, j: number): number {
  const low = (bytes[at + (j & 7)] >>> (j < 8 ? 0 : 4)) & 15;
  return (low | (((bytes[at + 8 + (j & 3)] >>> (2 * (j >>> 2))) & 3) << 4)) - 32;
}

/** The third bit is stored inverted: a set bit means that nothing is taken off. */
export const q3_k: BlockCodec = {
  name: 'q3_k',
  columns: COLUMNS,
  bytes: 110,
  encode(values, block, weights = equally) {
    const fit = fitSymmetric(
      values,
      weights,
      { width: 16, half: 4, lowestScale: -32, highestScale: 31 },
      codes,
    );
    fit.scales.forEach((scale, j) => {
      const stored = scale + 32;
      block[96 + (j & 7)] |= (stored & 15) << (j < 8 ? 0 : 4);
      block[104 + (j & 3)] |= (stored >>> 4) << (2 * (j >>> 2));
    });
    for (let c = 0; c < COLUMNS; c++) {
      addCrumb(block, 32, c, codes[c]);
      block[c & 31] |= (codes[c] >>> 2) << (c >>> 5);
    }
    writeHalf(block, 108, fit.d);
  },
  decode(bytes, start, out, outStart) {
    const d = readHalf(bytes, start + 108);
    for (let j = 0; j < 16; j++) {
      const scale = fround(d * q3Scale(bytes, start + 96, j));
      for (let c = j * 16; c < j * 16 + 16; c++) {
        const high = (bytes[start + (c & 31)] >>> (c >>> 5)) & 1;
        out[outStart + c] = scale * (crumb(bytes, start + 32, c) - (high ? 0 : 4));
      }
    }
  },
};

/** q4_k and q5_k: 8 sub-blocks of 32 with scale and minimum; the fifth bits stand before the nibbles. */
function affineSuperBlock(name: string, bits: 4 | 5): BlockCodec {
  const low = bits === 5 ? 48 : 16;
  return {
    name,
    columns: COLUMNS,
    bytes: bits === 5 ? 176 : 144,
    encode(values, block, weights = equally) {
      const fit = fitAffine(
        values,
        weights,
        { width: 32, largestCode: 2 ** bits - 1, largestScale: 63 },
        codes,
      );
      writeHalf(block, 0, fit.d);
      writeHalf(block, 2, fit.dMin);
      fit.scales.forEach((scale, j) => {
        writeScaleAndMin(block, 4, j, scale, fit.mins[j]);
      });
      for (let c = 0; c < COLUMNS; c++) {
        addNibble(block, low, c, codes[c]);
        if (bits === 5) block[16 + (c & 31)] |= (codes[c] >>> 4) << (c >>> 5);
      }
    },
    decode(bytes, start, out, outStart) {
      const d = readHalf(bytes, start);
      const dMin = readHalf(bytes, start + 2);
      for (let j = 0; j < 8; j++) {
        const [wholeScale, wholeMin] = scaleAndMin(bytes, start + 4, j);
        const scale = fround(d * wholeScale);
        const min = fround(dMin * wholeMin);
        for (let l = 0; l < 32; l++) {
          const high = bits === 5 ? ((bytes[start + 16 + l] >>> j) & 1) << 4 : 0;
          out[outStart + j * 32 + l] = fround(scale * (nibble(bytes, start + low, j * 32 + l) | high)) - min;
        }
      }
    },
  };
}

export const q4_k = affineSuperBlock('q4_k', 4);
export const q5_k = affineSuperBlock('q5_k', 5);

export const q6_k: BlockCodec = {
  name: 'q6_k',
  columns: COLUMNS,
  bytes: 210,
  encode(values, block, weights = equally) {
    const fit = fitSymmetric(
      values,
      weights,
      { width: 16, half: 32, lowestScale: -128, highestScale: 127 },
      codes,
    );
    for (let c = 0; c < COLUMNS; c++) {
      block[wideNibbleAt(c)] |= (codes[c] & 15) << wideNibbleShift(c);
      addCrumb(block, 128, c, codes[c] >>> 4);
    }
    fit.scales.forEach((scale, j) => {
      block[192 + j] = scale;
    });
    writeHalf(block, 208, fit.d);
  },
  decode(bytes, start, out, outStart) {
    const d = readHalf(bytes, start + 208);
    for (let j = 0; j < 16; j++) {
      const scale = fround(d * ((bytes[start + 192 + j] << 24) >> 24));
      for (let c = j * 16; c < j * 16 + 16; c++) {
        const low = (bytes[start + wideNibbleAt(c)] >>> wideNibbleShift(c)) & 15;
        out[outStart + c] = scale * ((low | (crumb(bytes, start + 128, c) << 4)) - 32);
      }
    }
  },
};
