import { describe, expect, it } from 'vitest';
import { sizeClassOf } from './memory.js';

describe('sizeClassOf', () => {
  it('covers every size with little waste, and larger sizes never get smaller classes', () => {
    let before = { index: 0, capacity: 0 };
    for (let bytes = 1; bytes < 2 ** 45; bytes = Math.ceil(bytes * 1.01) + 1) {
      const now = sizeClassOf(bytes);
      expect(now.capacity).toBeGreaterThanOrEqual(bytes);
      expect(now.capacity).toBeLessThanOrEqual(Math.max(64, bytes + 64, bytes * 1.125));
      expect(now.index).toBeGreaterThanOrEqual(before.index);
      if (now.index === before.index) expect(now.capacity).toBe(before.capacity);
      else expect(now.capacity).toBeGreaterThan(before.capacity);
      before = now;
    }
  });

  it.each([
    [0, 64],
    [64, 64],
    [65, 128],
    [1024, 1024],
    [1025, 1152],
    [2048, 2048],
    [2 ** 31, 2 ** 31],
    [2 ** 31 + 1, 2 ** 31 + 2 ** 28],
  ])('gives %i bytes %i', (bytes, capacity) => {
    expect(sizeClassOf(bytes).capacity).toBe(capacity);
  });
});
