import type { PairTable } from './pair-table.js';

const NO_RANK = 0x7fffffff;

/** Below this many symbols, looking at all pairs again beats keeping a heap. */
const SHORT_WORD = 48;

/**
 * Merges symbols in place as byte-pair encoding does: always the pair of the lowest rank, the leftmost of equals.
 * Returns how many symbols are left at the beginning of `symbols`.
 */
export function mergeSymbols(symbols: Int32Array, length: number, table: PairTable): number {
  if (length < 2) return length;
  return length <= SHORT_WORD ? mergeShort(symbols, length, table) : mergeLong(symbols, length, table);
}

const shortRanks = new Int32Array(SHORT_WORD);
const shortSlots = new Int32Array(SHORT_WORD);

function mergeShort(symbols: Int32Array, length: number, table: PairTable): number {
  const ranks = shortRanks;
  const slots = shortSlots;
  for (let i = 0; i + 1 < length; i++) {
    slots[i] = table.find(symbols[i], symbols[i + 1]);
    ranks[i] = slots[i] < 0 ? NO_RANK : table.rankAt(slots[i]);
  }
  let count = length;
  while (count > 1) {
    let best = 0;
    let bestRank = ranks[0];
    for (let i = 1; i + 1 < count; i++) {
      if (ranks[i] < bestRank) {
        best = i;
        bestRank = ranks[i];
      }
    }
    if (bestRank === NO_RANK) break;
    symbols[best] = table.mergedAt(slots[best]);
    count--;
    for (let i = best + 1; i < count; i++) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      slots[i] = slots[i + 1];
    }
    for (let i = Math.max(0, best - 1); i <= best && i + 1 < count; i++) {
      slots[i] = table.find(symbols[i], symbols[i + 1]);
      ranks[i] = slots[i] < 0 ? NO_RANK : table.rankAt(slots[i]);
    }
  }
  return count;
}

/** Positions are far fewer than 2^32 and ranks than 2^21: both fit one double, which orders by rank, then position. */
const POSITIONS = 2 ** 32;

function mergeLong(symbols: Int32Array, length: number, table: PairTable): number {
  const next = new Int32Array(length);
  const previous = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    next[i] = i + 1 < length ? i + 1 : -1;
    previous[i] = i - 1;
  }
  const heap = new KeyHeap(length);
  const offer = (at: number): void => {
    const slot = table.find(symbols[at], symbols[next[at]]);
    if (slot >= 0) heap.push(table.rankAt(slot) * POSITIONS + at);
  };
  for (let i = 0; i + 1 < length; i++) offer(i);
  while (heap.size > 0) {
    const key = heap.pop();
    const at = key % POSITIONS;
    const right = next[at];
    // A symbol that was merged into its neighbour is marked -1; a pair that changed since has another rank.
    if (symbols[at] === -1 || right === -1) continue;
    const slot = table.find(symbols[at], symbols[right]);
    if (slot < 0 || table.rankAt(slot) * POSITIONS + at !== key) continue;
    symbols[at] = table.mergedAt(slot);
    symbols[right] = -1;
    next[at] = next[right];
    if (next[at] !== -1) {
      previous[next[at]] = at;
      offer(at);
    }
    if (previous[at] !== -1) offer(previous[at]);
  }
  let count = 0;
  for (let at = 0; at !== -1; at = next[at]) symbols[count++] = symbols[at];
  return count;
}

/** A binary heap of numbers, smallest first. */
class KeyHeap {
  private keys: Float64Array;
  size = 0;

  constructor(capacity: number) {
    this.keys = new Float64Array(Math.max(16, capacity));
  }

  push(key: number): void {
    if (this.size === this.keys.length) {
      const larger = new Float64Array(this.size * 2);
      larger.set(this.keys);
      this.keys = larger;
    }
    const { keys } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      at = parent;
    }
    keys[at] = key;
  }

  pop(): number {
    const { keys } = this;
    const top = keys[0];
    const last = keys[--this.size];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && keys[child + 1] < keys[child]) child++;
      if (keys[child] >= last) break;
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = last;
    return top;
  }
}
