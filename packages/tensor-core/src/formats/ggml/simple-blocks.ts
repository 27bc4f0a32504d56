import { type BlockCodec, readHalf, writeHalf } from './blocks.js';
import { fitScale, fitSignedAffine } from './simple-block-fit.js';

const { fround } = Math;

/** 1 / d in f32, 0 for 0: what ggml multiplies by. */
function inverse(d: number): number {
  return d === 0 ? 0 : fround(1 / d);
}

/** The first value of the largest magnitude, with its sign. */
function extreme(values: Float32Array): number {
  let best = values[0];
  for (const value of values) if (Math.abs(value) > Math.abs(best)) best = value;
  return best;
}

/** 32 values as int8 times an f16 scale. Rounds half away from zero, as ggml does; weights change nothing. */
export const q8_0: BlockCodec = {
  name: 'q8_0',
  columns: 32,
  bytes: 34,
  encode(values, block) {
    const d = fround(Math.abs(extreme(values)) / 127);
    const factor = inverse(d);
    writeHalf(block, 0, d);
    for (let i = 0; i < 32; i++) {
      const scaled = fround(values[i] * factor);
      const magnitude = Math.floor(Math.abs(scaled) + 0.5);
      block[2 + i] = scaled < 0 ? -magnitude : magnitude;
    }
  },
  decode(bytes, start, out, outStart) {
    const d = readHalf(bytes, start);
    for (let i = 0; i < 32; i++) out[outStart + i] = d * ((bytes[start + 2 + i] << 24) >> 24);
  },
};

/** Codes of 4 bits (column i and i + 16 share a byte), and for 5 bits one more bit each in a 32-bit word. */
function writeCodes(block: Uint8Array, at: number, bits: 4 | 5, codes: Uint8Array): void {
  const low = bits === 5 ? at + 4 : at;
  for (let i = 0; i < 16; i++) block[low + i] = (codes[i] & 15) | ((codes[i + 16] & 15) << 4);
  if (bits === 5) for (let i = 0; i < 32; i++) block[at + (i >>> 3)] |= (codes[i] >>> 4) << (i & 7);
}

function readBlockCode(bytes: Uint8Array, at: number, bits: 4 | 5, i: number): number {
  const low = bits === 5 ? at + 4 : at;
  const nibble = (bytes[low + (i & 15)] >>> (i < 16 ? 0 : 4)) & 15;
  return bits === 5 ? nibble | (((bytes[at + (i >>> 3)] >>> (i & 7)) & 1) << 4) : nibble;
}

const codes = new Uint8Array(32);
const equally = new Float32Array(32).fill(1);

/** Shares of the range that first guesses of a symmetric scale cover. */
const COVERED = [...Array.from({ length: 13 }, (_, i) => 1.12 - 0.02 * i), 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];

/** q4_0, q5_0: an f16 scale; the value of the largest magnitude gets the code of the lowest number. */
function symmetric(name: string, bits: 4 | 5): BlockCodec {
  const half = 2 ** (bits - 1);
  const level = (scaled: number) => Math.min(half - 1, Math.max(-half, Math.round(scaled)));
  /** The extreme value may get the lowest code or, one step less, the highest. */
  const search = (values: Float32Array, weights: Float32Array) => {
    const full = extreme(values);
    const guesses = COVERED.flatMap((share) => [(share * full) / -half, (share * full) / (half - 1)]);
    return fitScale(values, { weights, guesses, level });
  };
  return {
    name,
    columns: 32,
    bytes: 2 + bits * 4,
    encode(values, block, weights) {
      if (weights) {
        const d = writeHalf(block, 0, search(values, weights));
        for (let i = 0; i < 32; i++) codes[i] = level(d === 0 ? 0 : values[i] / d) + half;
        return writeCodes(block, 2, bits, codes);
      }
      const d = fround(extreme(values) / -half);
      const factor = inverse(d);
      writeHalf(block, 0, d);
      for (let i = 0; i < 32; i++) {
        const shifted = fround(fround(values[i] * factor) + (half + 0.5));
        codes[i] = Math.min(2 * half - 1, Math.trunc(shifted));
      }
      writeCodes(block, 2, bits, codes);
    },
    decode(bytes, start, out, outStart) {
      const d = readHalf(bytes, start);
      for (let i = 0; i < 32; i++) out[outStart + i] = d * (readBlockCode(bytes, start + 2, bits, i) - half);
    },
  };
}

/** q4_1, q5_1: an f16 scale and the f16 smallest value. */
function affine(name: string, bits: 4 | 5): BlockCodec {
  const largest = 2 ** bits - 1;
  return {
    name,
    columns: 32,
    bytes: 4 + bits * 4,
    encode(values, block, weights) {
      if (weights) {
        const fit = fitSignedAffine(values, weights, largest);
        writeHalf(block, 0, fit.scale);
        writeHalf(block, 2, fit.low);
        const wide = fit.scale === 0 ? 0 : 1 / fit.scale;
        for (let i = 0; i < 32; i++)
          codes[i] = Math.min(largest, Math.max(0, Math.round((values[i] - fit.low) * wide)));
        return writeCodes(block, 4, bits, codes);
      }
      const low = values.reduce((a, b) => Math.min(a, b));
      const high = values.reduce((a, b) => Math.max(a, b));
      const d = fround(fround(high - low) / largest);
      const factor = inverse(d);
      writeHalf(block, 0, d);
      writeHalf(block, 2, low);
      for (let i = 0; i < 32; i++) {
        const scaled = fround(fround(fround(values[i] - low) * factor) + 0.5);
        codes[i] = Math.min(largest, Math.trunc(scaled));
      }
      writeCodes(block, 4, bits, codes);
    },
    decode(bytes, start, out, outStart) {
      const d = readHalf(bytes, start);
      const low = readHalf(bytes, start + 2);
      for (let i = 0; i < 32; i++) {
        out[outStart + i] = fround(d * readBlockCode(bytes, start + 4, bits, i)) + low;
      }
    },
  };
}

export const q4_0 = symmetric('q4_0', 4);
export const q5_0 = symmetric('q5_0', 5);
export const q4_1 = affine('q4_1', 4);
export const q5_1 = affine('q5_1', 5);

/** Values of the 4-bit codes of iq4_nl, denser near zero (ggml: kvalues_iq4nl). */
export const iq4Values: readonly number[] = [
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

function nearestIq4(value: number): number {
  let best = 0;
  for (let i = 1; i < 16; i++) {
    if (Math.abs(iq4Values[i] - value) < Math.abs(iq4Values[best] - value)) best = i;
  }
  return best;
}

/** 32 codes of 4 bits that stand for unevenly spaced numbers, times an f16 scale. */
export const iq4_nl: BlockCodec = {
  name: 'iq4_nl',
  columns: 32,
  bytes: 18,
  encode(values, block, weights = equally) {
    const largest = extreme(values);
    const guesses = Array.from({ length: 15 }, (_, i) => largest / (iq4Values[0] + i - 7));
    // Columns that hardly count may lie outside the range.
    if (weights !== equally) guesses.push(...COVERED.map((share) => (share * largest) / iq4Values[15]));
    const level = (scaled: number) => iq4Values[nearestIq4(scaled)];
    const d = writeHalf(block, 0, fitScale(values, { weights, guesses, level }));
    for (let i = 0; i < 32; i++) codes[i] = nearestIq4(d === 0 ? 0 : values[i] / d);
    writeCodes(block, 2, 4, codes);
  },
  decode(bytes, start, out, outStart) {
    const d = readHalf(bytes, start);
    for (let i = 0; i < 32; i++) out[outStart + i] = d * iq4Values[readBlockCode(bytes, start + 2, 4, i)];
  },
};
