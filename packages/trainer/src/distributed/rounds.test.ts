import { describe, expect, it } from 'vitest';
import type { LocalUpdateOptions } from './options.js';
import { bytesOf } from './quantized-delta.js';
import { endsRound } from './rounds.js';

/** Steps after which a run of `total` exchanges. */
const endsOf = (local: LocalUpdateOptions, total: number) =>
  Array.from({ length: total }, (_, i) => i + 1).filter((step) => endsRound(step, local, total));

describe('rounds of local updates', () => {
  it('are all alike where they shall be', () => {
    expect(endsOf({ steps: 4, rounds: 'even' }, 14)).toEqual([4, 8, 12, 14]);
  });

  it('grow to their length in the first third of the run, and end with every multiple of it', () => {
    const ends = endsOf({ steps: 50 }, 1000);
    const lengths = ends.map((end, i) => end - (ends[i - 1] ?? 0));
    expect(Math.max(...lengths.slice(0, 20))).toBe(3);
    for (let step = 50; step <= 1000; step += 50) expect(ends).toContain(step);
    for (let i = 1; i < lengths.length; i++) expect(lengths[i]).toBeGreaterThanOrEqual(lengths[i - 1] - 1);
    expect(ends.filter((end) => end >= 350)).toEqual(Array.from({ length: 14 }, (_, i) => 350 + 50 * i));
  });

  it('move less than a hundredth of what two ranks move that exchange gradients, however long the run', () => {
    for (const total of [100, 777, 1000, 10_000, 100_000]) {
      const exchanges = endsOf({ steps: 50 }, total).length;
      const perWeight = (exchanges * (bytesOf(256, 4) + 4)) / 256 / total;
      expect(perWeight).toBeLessThan(0.01 * 4);
    }
  });
});
