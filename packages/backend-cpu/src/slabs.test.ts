import { describe, expect, it } from 'vitest';
import type { Addon } from './addon.js';
import { type Piece, Slabs } from './slabs.js';

/** Buffers lie one after the other, none aligned. */
function slabs() {
  const made: number[] = [];
  let end = 40;
  const addon = { addressOf: () => end - made.at(-1)! } as unknown as Addon;
  const newBuffer = (bytes: number) => {
    made.push(bytes);
    end += bytes;
    return new ArrayBuffer(bytes);
  };
  return { slabs: new Slabs(addon, newBuffer), made };
}

const KIB = 1024;

describe('Slabs', () => {
  it('cuts pieces that never overlap, from few buffers, however they come and go', () => {
    const { slabs: memory, made } = slabs();
    const held: { readonly piece: Piece; readonly bytes: number }[] = [];
    let state = 7;
    const draw = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    for (let turn = 0; turn < 5000; turn++) {
      if (held.length > 60) {
        const [{ piece, bytes }] = held.splice(Math.floor(draw() * held.length), 1);
        memory.give(piece, bytes);
        continue;
      }
      const bytes = Math.ceil(16 * KIB * 64 ** draw());
      const piece = memory.take(bytes);
      const overlaps = held.some(
        ({ piece: { buffer, offset }, bytes: length }) =>
          buffer === piece.buffer && offset < piece.offset + bytes && piece.offset < offset + length,
      );
      const fits = piece.offset + bytes <= piece.buffer.byteLength;
      expect({ overlaps, fits, misaligned: piece.address % 64 }).toEqual({
        overlaps: false,
        fits: true,
        misaligned: 0,
      });
      held.push({ piece, bytes });
    }
    // At most 61 MiB are held, and pieces leave gaps.
    expect(made.length).toBeLessThan(8);
  });

  it('gives the whole slab again once all of it came back, in any order', () => {
    const { slabs: memory, made } = slabs();
    const pieces = Array.from({ length: 16 }, () => memory.take(1024 * KIB));
    expect(made).toHaveLength(1);
    for (const i of [3, 5, 4, 0, 15, 1, 2, 9, 7, 8, 6, 14, 13, 10, 12, 11])
      memory.give(pieces[i], 1024 * KIB);
    for (let i = 0; i < 20; i++) memory.take(800 * KIB);
    expect(made).toHaveLength(1);
  });

  it('gives small and large pieces buffers of their own', () => {
    const { slabs: memory, made } = slabs();
    const pieces = [8 * KIB, 6144 * KIB].map((bytes) => memory.take(bytes));
    expect(made).toEqual([8 * KIB + 64, 6144 * KIB + 64]);
    expect(pieces.map(({ slab }) => slab)).toEqual([null, null]);
  });
});
