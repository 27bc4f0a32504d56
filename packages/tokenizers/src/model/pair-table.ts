/** Pairs of ids → rank and merged id: an open-addressing table, several times faster than a Map of keys. */
export class PairTable {
  private readonly mask: number;
  /** Per slot: left (-1 when empty), right, rank, merged. */
  private readonly slots: Int32Array;

  constructor(capacity: number) {
    let size = 16;
    while (size < capacity * 2) size *= 2;
    this.mask = size - 1;
    this.slots = new Int32Array(size * 4).fill(-1);
  }

  /** Sets a pair; one that is there gets the new values. */
  set(left: number, right: number, rank: number, merged: number): void {
    const { slots } = this;
    let slot = hashPair(left, right) & this.mask;
    while (slots[slot * 4] !== -1 && (slots[slot * 4] !== left || slots[slot * 4 + 1] !== right)) {
      slot = (slot + 1) & this.mask;
    }
    slots[slot * 4] = left;
    slots[slot * 4 + 1] = right;
    slots[slot * 4 + 2] = rank;
    slots[slot * 4 + 3] = merged;
  }

  /** Where a pair lies, for `rankAt` and `mergedAt`; -1 when it never merges. */
  find(left: number, right: number): number {
    const { slots, mask } = this;
    let slot = hashPair(left, right) & mask;
    for (;;) {
      const found = slots[slot * 4];
      if (found === left && slots[slot * 4 + 1] === right) return slot;
      if (found === -1) return -1;
      slot = (slot + 1) & mask;
    }
  }

  rankAt(slot: number): number {
    return this.slots[slot * 4 + 2];
  }

  mergedAt(slot: number): number {
    return this.slots[slot * 4 + 3];
  }
}

/** Spreads pairs over 32 bits; tables take the low ones. */
export function hashPair(left: number, right: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return hash ^ (hash >>> 15);
}
