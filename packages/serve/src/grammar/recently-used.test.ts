import { expect, it } from 'vitest';
import { RecentlyUsed } from './recently-used.js';

it('forgets what was used longest ago, and never the last one', () => {
  const kept = new RecentlyUsed<string>(10);
  kept.set(1, 'a', 4);
  kept.set(2, 'b', 4);
  expect(kept.get(1)).toBe('a');
  kept.set(3, 'c', 4);
  expect([1, 2, 3].map((key) => kept.get(key))).toEqual(['a', undefined, 'c']);
  kept.set(1, 'a', 7); // grew
  expect([1, 3].map((key) => kept.get(key))).toEqual(['a', undefined]);
  kept.set(4, 'd', 50);
  expect([1, 4].map((key) => kept.get(key))).toEqual([undefined, 'd']);
});
