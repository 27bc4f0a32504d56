import { describe, expect, it } from 'vitest';
import { rangeOf, Shares } from './shares.js';

/** Shares of 32 units after some steps of ranks with these speeds. */
function settled(speeds: readonly number[], units = 32): readonly number[] {
  const shares = new Shares(speeds.length);
  for (let step = 0; step < 30; step++) {
    const counts = shares.divide(units);
    shares.observe(
      counts,
      counts.map((count, rank) => count / speeds[rank]),
    );
  }
  return shares.divide(units);
}

describe('Shares', () => {
  it('follow speed', () => {
    expect(settled([1, 1])).toEqual([16, 16]);
    expect(settled([3, 1])).toEqual([24, 8]);
    expect(settled([1, 3])).toEqual([8, 24]);
    expect(settled([2, 1, 1])).toEqual([16, 8, 8]);
    expect(settled([100, 1], 8)).toEqual([7, 1]);
  });

  it('cut at round numbers where that costs next to nothing', () => {
    expect(settled([1.02, 0.98])).toEqual([16, 16]);
    expect(settled([1, 1], 10)).toEqual([5, 5]);
  });

  it('are not moved by one slow step', () => {
    const shares = new Shares(2);
    for (let step = 0; step < 20; step++) shares.observe(shares.divide(32), [1, 1]);
    shares.observe(shares.divide(32), [1, 1.3]);
    expect(shares.divide(32)).toEqual([16, 16]);
  });

  it('are consecutive ranges', () => {
    expect([0, 1, 2].map((rank) => rangeOf([3, 1, 4], rank))).toEqual([
      { from: 0, to: 3 },
      { from: 3, to: 4 },
      { from: 4, to: 8 },
    ]);
  });

  it('need a unit for each rank', () => {
    expect(() => new Shares(3).divide(2)).toThrow(/fewer units than there are ranks: got 2 for 3/);
  });
});
