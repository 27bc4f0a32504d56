/** Elements that share a scale. */
const BLOCK = 256;

/** A vector in int8, with one scale per block of 256 elements: 1.016 bytes per element. */
export interface QuantizedDelta {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

/** Rounds to the nearest of 255 values per block, the largest of which is exact. NaN and infinities make their block NaN. */
export function quantizeDelta(values: Float32Array): QuantizedDelta {
  const scales = new Float32Array(blocksOf(values.length));
  const codes = new Int8Array(values.length);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    const end = Math.min(start + BLOCK, values.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(values[i]));
    const scale = Number.isFinite(largest) ? largest / 127 : Number.NaN;
    scales[block] = scale;
    if (!(scale > 0)) continue;
    for (let i = start; i < end; i++) codes[i] = Math.round(values[i] / scale);
  }
  return { codes, scales };
}

/** sum += weight · values. */
export function addDelta(sum: Float32Array, { codes, scales }: QuantizedDelta, weight: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] += weight * (scales[(i / BLOCK) | 0] * codes[i]);
}

export function blocksOf(length: number): number {
  return Math.ceil(length / BLOCK);
}
