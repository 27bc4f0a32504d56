/** Elements that share a scale. */
const BLOCK = 256;

/** Bits of an element of a change. */
export type DeltaBits = 4 | 8;

/** A vector in whole numbers of a few bits, with one scale per block of 256 elements: 0.516 or 1.016 bytes per element. */
export interface QuantizedDelta {
  /** Two's complement; of 4 bits two in a byte, the first in its lower half. */
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Rounds to the nearest of 15 or 255 values per block, the largest of which is exact. NaN and infinities make their block NaN. */
export function quantizeDelta(values: Float32Array, bits: DeltaBits): QuantizedDelta {
  const scales = new Float32Array(blocksOf(values.length));
  const codes = new Uint8Array(bytesOf(values.length, bits));
  const most = 2 ** (bits - 1) - 1;
  const mask = 2 ** bits - 1;
  const [perByte, byteOf] = layoutOf(bits);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    const end = Math.min(start + BLOCK, values.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(values[i]));
    const scale = Number.isFinite(largest) ? largest / most : Number.NaN;
    scales[block] = scale;
    if (!(scale > 0)) continue;
    for (let i = start; i < end; i++) {
      codes[i >>> byteOf] |= (Math.round(values[i] / scale) & mask) << ((i & (perByte - 1)) * bits);
    }
  }
  return { codes, scales };
}

/** sum += weight · values. */
export function addDelta(
  sum: Float32Array,
  { codes, scales }: QuantizedDelta,
  bits: DeltaBits,
  weight: number,
): void {
  const [perByte, byteOf] = layoutOf(bits);
  const unused = 32 - bits;
  for (let i = 0; i < sum.length; i++) {
    const code = (codes[i >>> byteOf] << (unused - (i & (perByte - 1)) * bits)) >> unused;
    sum[i] += weight * (scales[(i / BLOCK) | 0] * code);
  }
}

export function blocksOf(length: number): number {
  return Math.ceil(length / BLOCK);
}

/** Bytes of the codes. */
export function bytesOf(length: number, bits: DeltaBits): number {
  return Math.ceil((length * bits) / 8);
}

/** Elements in a byte, and the logarithm of that. */
function layoutOf(bits: DeltaBits): [perByte: number, byteOf: number] {
  return bits === 8 ? [1, 0] : [2, 1];
}
