import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { settings } from '../src/settings.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].split('\n');
const names = ['n-gram regression', 'teacher', 'student alone', 'student distilled', 'student int8'];
const rows = (name: string) =>
  shown.filter((line) => line.startsWith(`${name} `)).map((line) => line.split(/ {2,}/));

it('the README shows every model on both splits, within its own interval', () => {
  for (const name of names) {
    expect(rows(name), name).toHaveLength(2);
    for (const [, accuracy, interval] of rows(name)) {
      const [low, high] = interval.split(' to ').map(Number.parseFloat);
      expect(Number.parseFloat(accuracy)).toBeGreaterThanOrEqual(low);
      expect(Number.parseFloat(accuracy)).toBeLessThanOrEqual(high);
    }
  }
});

it('the README says of the mark what follows from its numbers', () => {
  const best = Math.max(...names.map((name) => Number.parseFloat(rows(name)[0][1])));
  expect(shown.find((line) => line.startsWith('the mark of 94.0 %'))).toContain(
    `${best >= 94 ? 'reached' : 'missed'}: n-gram regression has ${best.toFixed(1)} %`,
  );
});

it('the README shows a student of the size that the settings give', () => {
  const { width, layers } = settings.full.student;
  const blocks = layers * (12 * width ** 2 + 13 * width);
  const bytes = 4 * (settings.full.vocabularySize * width + blocks);
  const [kilobytes] = rows('student alone').map((row) => 1000 * Number.parseFloat(row.at(-2) as string));
  expect(kilobytes).toBeGreaterThan(bytes);
  expect(kilobytes).toBeLessThan(1.1 * bytes);
});
