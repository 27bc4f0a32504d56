import { expect, it } from 'vitest';
import { randomNumbers } from '../../test/support.js';
import { mergeSymbols } from './merge.js';
import { PairTable } from './pair-table.js';

/** The definition: look at all pairs, merge the one of lowest rank, the leftmost of equals, until none is left. */
function mergePlainly(symbols: number[], table: PairTable): number[] {
  const left = [...symbols];
  for (;;) {
    let best = -1;
    let bestSlot = -1;
    for (let i = 0; i + 1 < left.length; i++) {
      const slot = table.find(left[i], left[i + 1]);
      if (slot >= 0 && (bestSlot < 0 || table.rankAt(slot) < table.rankAt(bestSlot))) {
        best = i;
        bestSlot = slot;
      }
    }
    if (best < 0) return left;
    left.splice(best, 2, table.mergedAt(bestSlot));
  }
}

it('merges as the definition says, for short and long words', () => {
  const random = randomNumbers(1);
  for (let round = 0; round < 300; round++) {
    const kinds = 2 + Math.floor(random() * 4);
    const count = Math.floor(random() * 40);
    const table = new PairTable(count);
    for (let rank = 0; rank < count; rank++) {
      const known = kinds + rank;
      table.set(Math.floor(random() * known), Math.floor(random() * known), rank, known);
    }
    for (const length of [0, 1, 2, 7, 48, 49, 400]) {
      const word = Array.from({ length }, () => Math.floor(random() * kinds));
      const symbols = Int32Array.from(word);
      const left = mergeSymbols(symbols, length, table);
      expect([...symbols.subarray(0, left)]).toEqual(mergePlainly(word, table));
    }
  }
});

it('finds pairs that collide, and no others', () => {
  const table = new PairTable(1000);
  for (let i = 0; i < 1000; i++) table.set(i * 64, i, i, i + 1);
  for (let i = 0; i < 1000; i++) expect(table.rankAt(table.find(i * 64, i))).toBe(i);
  expect(table.find(64, 2)).toBe(-1);
});
