import type { PairStatistics } from './pair-statistics.js';

/**
 * Pairs by priority: the highest count first, of equals the smallest left id, then the smallest right id. Counts that
 * fell since a pair was queued are noticed when it comes up; counts that rose need a new `push`.
 */
export class PairQueue {
  private readonly pairs: number[] = [];
  private readonly counts: number[] = [];

  constructor(private readonly statistics: PairStatistics) {}

  push(pair: number): void {
    const count = this.statistics.count[pair];
    if (count <= 0) return;
    const { pairs, counts } = this;
    let at = pairs.length;
    pairs.push(pair);
    counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.isBefore(pair, count, pairs[parent], counts[parent])) break;
      pairs[at] = pairs[parent];
      counts[at] = counts[parent];
      at = parent;
    }
    pairs[at] = pair;
    counts[at] = count;
  }

  /** The pair to merge next, or -1 when none is left. */
  pop(): number {
    while (this.pairs.length > 0) {
      const pair = this.pairs[0];
      const queuedCount = this.counts[0];
      this.removeFirst();
      if (this.statistics.count[pair] === queuedCount) return pair;
      this.push(pair);
    }
    return -1;
  }

  private removeFirst(): void {
    const { pairs, counts } = this;
    const pair = pairs.pop() as number;
    const count = counts.pop() as number;
    const size = pairs.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.isBefore(pairs[child + 1], counts[child + 1], pairs[child], counts[child]))
        child++;
      if (!this.isBefore(pairs[child], counts[child], pair, count)) break;
      pairs[at] = pairs[child];
      counts[at] = counts[child];
      at = child;
    }
    pairs[at] = pair;
    counts[at] = count;
  }

  private isBefore(a: number, countA: number, b: number, countB: number): boolean {
    if (countA !== countB) return countA > countB;
    const { left, right } = this.statistics;
    return left[a] !== left[b] ? left[a] < left[b] : right[a] < right[b];
  }
}
