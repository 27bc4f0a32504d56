import { scope, tensor, zeros } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { openWasmBackend } from '../src/backend.js';
import { Heap } from '../src/heap.js';
import { trainSmallLlama } from '../src/training.js';

describe('the heap', () => {
  it('gives aligned blocks that do not overlap, and takes them back', () => {
    const heap = new Heap();
    const sizes = [1, 17, 400_000, 16, 70_000, 3];
    const blocks = sizes.map((size) => ({ start: heap.allocate(size), size }));
    const sorted = [...blocks].sort((a, b) => a.start - b.start);
    for (const [i, { start, size }] of sorted.entries()) {
      expect(start % 16).toBe(0);
      if (i + 1 < sorted.length) expect(start + size).toBeLessThanOrEqual(sorted[i + 1].start);
      expect(start + size).toBeLessThanOrEqual(heap.memory.buffer.byteLength);
    }
    for (const i of [3, 0, 5, 2, 1, 4]) heap.free(blocks[i].start, blocks[i].size);
    expect(heap.usedBytes).toBe(0);
    // All gaps were joined: one block as large as everything fits without growing.
    const { byteLength } = heap.memory.buffer;
    heap.allocate(byteLength - 16);
    expect(heap.memory.buffer.byteLength).toBe(byteLength);
  });

  it('says how much it has when there is no more', async () => {
    const backend = await openWasmBackend({ memoryLimit: 1_000_000 });
    const first = zeros([100_000], { backend });
    expect(() => zeros([200_000], { backend })).toThrow(
      /\[wasm backend\] out of memory: got 800000 bytes wanted, 400000 in use; expected at most 1000000 bytes/,
    );
    first.dispose();
    zeros([200_000], { backend }).dispose();
    expect(backend.usedBytes).toBe(0);
  });
});

it('keeps tensors when the memory grows', async () => {
  const backend = await openWasmBackend();
  const kept = tensor([1, 2, 3], { backend });
  for (let i = 0; i < 5; i++) scope(() => void zeros([2 ** (16 + i)], { backend }));
  expect(Array.from(await kept.toFloat32())).toEqual([1, 2, 3]);
  kept.dispose();
});

it('does not gather memory while a model trains', async () => {
  const backend = await openWasmBackend();
  const used: number[] = [];
  await trainSmallLlama(backend, { steps: 9, afterStep: () => used.push(backend.usedBytes) });
  // The optimizer makes its moments in the first step, and steps are reported a little later than they are done.
  expect(new Set(used.slice(2, 7)).size).toBe(1);
  expect(backend.usedBytes).toBe(0);
});
