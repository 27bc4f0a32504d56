import { expect, it } from 'vitest';
import { RestartDelay } from './restart-delay.js';

it('doubles up to half a minute, and begins anew after a long life', () => {
  const delay = new RestartDelay();
  expect(Array.from({ length: 10 }, () => delay.after(50))).toEqual([
    100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000,
  ]);
  expect(delay.after(3_600_000)).toBe(100);
  expect(delay.after(0)).toBe(200);
});
