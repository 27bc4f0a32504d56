import { expect, it } from 'vitest';
import { splitByHash } from './documents.js';

const documents = Array.from({ length: 2000 }, (_, i) => ({
  id: String(i),
  text: `text number ${i % 1900}`,
}));

it('holds out about the asked share, the same in any order, copies together', () => {
  const { train, heldOut } = splitByHash(documents, 0.1);
  expect(train.length + heldOut.length).toBe(2000);
  expect(heldOut.length).toBeGreaterThan(150);
  expect(heldOut.length).toBeLessThan(250);
  const reversed = splitByHash([...documents].reverse(), 0.1);
  expect(new Set(reversed.heldOut.map(({ id }) => id))).toEqual(new Set(heldOut.map(({ id }) => id)));
  const texts = new Set(heldOut.map(({ text }) => text));
  expect(train.some(({ text }) => texts.has(text))).toBe(false);
});

it('refuses percentages', () => {
  expect(() => splitByHash(documents, 10)).toThrow(/fraction.*got 10/);
});
