import { describe, expect, it } from 'vitest';
import { addDelta, blocksOf, bytesOf, type DeltaBits, quantizeDelta } from './quantized-delta.js';

/** Blocks of quite different sizes, as of parameters that change much and little. */
const valuesOf = (length: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * i + 1) * 10 ** -(Math.floor(i / 256) % 5));

describe.each([4, 8] as DeltaBits[])('a change in %i bits', (bits) => {
  const most = 2 ** (bits - 1) - 1;

  it.each([1, 255, 256, 257, 1000])(
    'is at most half a step off, and its largest exact: %i elements',
    (length) => {
      const values = valuesOf(length);
      const delta = quantizeDelta(values, bits);
      expect([delta.codes.length, delta.scales.length]).toEqual([bytesOf(length, bits), blocksOf(length)]);
      const restored = new Float32Array(length);
      addDelta(restored, delta, bits, 1);
      for (let start = 0; start < length; start += 256) {
        const block = values.subarray(start, start + 256);
        const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (const [i, value] of block.entries()) {
          const error = Math.abs(restored[start + i] - value);
          expect(error).toBeLessThanOrEqual(
            Math.abs(value) === largest ? 1e-6 * largest : (0.5 + 1e-5) * (largest / most),
          );
        }
      }
    },
  );

  it('is added with its weight', () => {
    const [once, sum] = [new Float32Array(300), new Float32Array(300).fill(1)];
    const delta = quantizeDelta(valuesOf(300), bits);
    addDelta(once, delta, bits, 1);
    addDelta(sum, delta, bits, 0.25);
    for (const [i, value] of once.entries()) expect(sum[i]).toBeCloseTo(1 + 0.25 * value, 6);
  });

  it('keeps zeros, and makes only the block of a NaN or an infinity NaN', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const values = new Float32Array(600);
      values[300] = bad;
      const restored = new Float32Array(600);
      addDelta(restored, quantizeDelta(values, bits), bits, 1);
      expect(restored.subarray(0, 256).every((value) => value === 0)).toBe(true);
      expect(restored.subarray(256, 512).every(Number.isNaN)).toBe(true);
      expect(restored.subarray(512).every((value) => value === 0)).toBe(true);
    }
  });
});
