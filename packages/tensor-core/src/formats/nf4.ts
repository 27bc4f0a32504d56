import type { PackedFormat, PartArray, UnpackRange } from './format.js';

/** Values of the codes: quantiles of a normal distribution, scaled to [-1, 1] (QLoRA, Dettmers et al. 2023; bitsandbytes). */
export const nf4Values: Float32Array = Float32Array.of(
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635],
  ...[-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725],
  ...[0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941],
  ...[0.7229568362236023, 1],
);

/** Values that share an absmax, and absmaxes that share one. Blocks run on across the ends of rows. */
const BLOCK = 64;
const NESTED_BLOCK = 256;

/** bitsandbytes' signed dynamic map of 8 bits: 7 decades, finer the larger, with 0 and 1; ascending. */
function dynamicMap(): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < 7; i++) {
    const count = 2 ** i + 1;
    // Means between the boundaries 0.1 … 1 of torch.linspace, which counts in f32 from the nearer end.
    const start = Math.fround(0.1);
    const step = Math.fround(Math.fround(1 - start) / (count - 1));
    const boundary = (k: number) =>
      Math.fround(k < count / 2 ? start + step * k : 1 - step * (count - 1 - k));
    for (let k = 0; k + 1 < count; k++) {
      const mean = Math.fround(Math.fround(boundary(k) + boundary(k + 1)) / 2);
      const value = Math.fround(Math.fround(10 ** (i - 6)) * mean);
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

export const nf4NestedMap: Float32Array = dynamicMap();

function nearest(map: Float32Array, value: number): number {
  let [low, high] = [0, map.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (map[middle] <= value) low = middle;
    else high = middle;
  }
  return value - map[low] > map[high] - value ? high : low;
}

function absoluteMaxima(values: Float32Array): Float32Array {
  const maxima = new Float32Array(Math.ceil(values.length / BLOCK));
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / BLOCK);
    maxima[block] = Math.max(maxima[block], Math.abs(values[i]));
  }
  return maxima;
}

/** Codes by the absmaxes as they are before their own quantisation, as bitsandbytes does; the first of two lies in the high half. */
function encode(values: Float32Array, maxima: Float32Array): Uint8Array {
  const codes = new Uint8Array(Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) {
    const largest = maxima[Math.floor(i / BLOCK)];
    const code = largest === 0 ? 7 : nearest(nf4Values, Math.fround(values[i] * Math.fround(1 / largest)));
    codes[i >>> 1] |= code << (i % 2 === 0 ? 4 : 0);
  }
  return codes;
}

function decode(
  codes: PartArray,
  { columns, rowStart, rowCount }: UnpackRange,
  out: Float32Array,
  scaleOf: (block: number) => number,
): void {
  let [block, scale] = [-1, 0];
  for (let i = 0; i < rowCount * columns; i++) {
    const at = rowStart * columns + i;
    if (Math.floor(at / BLOCK) !== block) {
      block = Math.floor(at / BLOCK);
      scale = scaleOf(block);
    }
    out[i] = nf4Values[(codes[Math.floor(at / 2)] >>> (at % 2 === 0 ? 4 : 0)) & 15] * scale;
  }
}

/**
 * 4-bit NormalFloat with one f32 absmax per 64 values, row-major. Parts: `codes` u8 [⌈values / 2⌉], `absmax` f32
 * [blocks].
 */
export const nf4Plain: PackedFormat = {
  name: 'nf4-plain',
  activation: 'none',
  parts: (rows, columns) => [
    { name: 'codes', dtype: 'u8', shape: [Math.ceil((rows * columns) / 2)] },
    { name: 'absmax', dtype: 'f32', shape: [Math.ceil((rows * columns) / BLOCK)] },
  ],
  pack: (values) => {
    const maxima = absoluteMaxima(values);
    return [encode(values, maxima), maxima];
  },
  unpack: ([codes, absmax], range, out) => decode(codes, range, out, (block) => absmax[block]),
};

/**
 * The same with the absmaxes themselves as 8-bit codes, as bitsandbytes stores it: absmax = nestedMap[code] · nestedAbsmax + offset.
 * Parts: `codes` u8 [⌈values / 2⌉], `absmax` u8 [blocks], `nestedAbsmax` f32 [⌈blocks / 256⌉],
 * `nestedMap` f32 [256], `offset` f32 [1].
 */
export const nf4: PackedFormat = {
  name: 'nf4',
  activation: 'none',
  parts: (rows, columns) => {
    const blocks = Math.ceil((rows * columns) / BLOCK);
    return [
      { name: 'codes', dtype: 'u8', shape: [Math.ceil((rows * columns) / 2)] },
      { name: 'absmax', dtype: 'u8', shape: [blocks] },
      { name: 'nestedAbsmax', dtype: 'f32', shape: [Math.ceil(blocks / NESTED_BLOCK)] },
      { name: 'nestedMap', dtype: 'f32', shape: [256] },
      { name: 'offset', dtype: 'f32', shape: [1] },
    ];
  },
  pack: (values) => {
    const maxima = absoluteMaxima(values);
    const offset = Math.fround(maxima.reduce((sum, value) => sum + value, 0) / Math.max(1, maxima.length));
    const nestedAbsmax = new Float32Array(Math.ceil(maxima.length / NESTED_BLOCK));
    maxima.forEach((value, i) => {
      const at = Math.floor(i / NESTED_BLOCK);
      nestedAbsmax[at] = Math.max(nestedAbsmax[at], Math.abs(Math.fround(value - offset)));
    });
    const absmax = Uint8Array.from(maxima, (value, i) => {
      const scale = nestedAbsmax[Math.floor(i / NESTED_BLOCK)];
      return nearest(nf4NestedMap, scale === 0 ? 0 : Math.fround(Math.fround(value - offset) / scale));
    });
    return [encode(values, maxima), absmax, nestedAbsmax, nf4NestedMap.slice(), Float32Array.of(offset)];
  },
  unpack: ([codes, absmax, nestedAbsmax, nestedMap, offset], range, out) =>
    decode(codes, range, out, (block) => {
      const scaled = Math.fround(nestedMap[absmax[block]] * nestedAbsmax[Math.floor(block / NESTED_BLOCK)]);
      return Math.fround(scaled + offset[0]);
    }),
};
