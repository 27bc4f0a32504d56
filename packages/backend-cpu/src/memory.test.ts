import { describe, expect, it } from 'vitest';
import type { Addon } from './addon.js';
import { MemoryPool, sizeClassOf } from './memory.js';

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

describe('MemoryPool', () => {
  const MIB = 2 ** 20;
  const pool = () => new MemoryPool({ addressOf: () => 0 } as unknown as Addon);
  const takeAll = (from: MemoryPool, bytes: number, count: number) =>
    Array.from({ length: count }, () => from.takeOwn(bytes));
  const giveAll = (to: MemoryPool, blocks: ReturnType<typeof takeAll>) => {
    for (const block of blocks) to.give(block);
  };

  it('keeps what a loop needs that repeats its sizes', () => {
    const memory = pool();
    const blocks = takeAll(memory, 4 * MIB, 50);
    giveAll(memory, blocks);
    expect(new Set(takeAll(memory, 4 * MIB, 50))).toEqual(new Set(blocks));
  });

  it('keeps a quarter more than was in use at once, of the sizes used last', () => {
    const memory = pool();
    for (const megabytes of [8, 10, 12]) giveAll(memory, takeAll(memory, megabytes * MIB, 240 / megabytes));
    expect(memory.usage()).toEqual({ liveBytes: 0, peakBytes: 240 * MIB, freeBytes: 300 * MIB });
    takeAll(memory, 12 * MIB, 20);
    expect(memory.usage().freeBytes).toBe(60 * MIB);
  });

  it('forgets how much was in use long ago', () => {
    const memory = pool();
    giveAll(memory, takeAll(memory, 8 * MIB, 100));
    for (let i = 0; i < 2 ** 17; i++) memory.give(memory.takeOwn(64));
    expect(memory.usage().peakBytes).toBe(800 * MIB);
    expect(memory.usage().freeBytes).toBeLessThanOrEqual(64 * MIB);
  });
});
