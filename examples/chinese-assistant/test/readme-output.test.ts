import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatBytes } from '@frugal/report';
import { expect, it } from 'vitest';
import { settings } from '../src/settings.js';
import { newModel } from '../src/training.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const [, options, block] = /<!-- output of: node dist\/main.js(.*) -->\n\n```text\n([\s\S]*?)```/.exec(
  page,
) as RegExpExecArray;
const chosen = settings[options.includes('--quick') ? 'quick' : 'full'];
const lines = block.split('\n').map((line) => line.split(/ {2,}/));
const rowOf = (name: string) => lines.find(([first]) => first === name)?.slice(1) ?? [];
const number = (text: string) => Number.parseFloat(text.replaceAll(',', ''));

it('the README shows steps that hand on what they keep, and reasons for all that went', () => {
  const steps = ['clean', 'without copies', 'without answers of the exams'].map(rowOf);
  for (const [entries, kept, gone] of steps) {
    const counts = [...gone.matchAll(/ (\d+)(?=,|$)/g)].map(([, count]) => Number(count));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(number(entries) - number(kept));
  }
  expect(steps[1][0]).toBe(steps[0][1]);
});

it('the README shows shares of the exam that whole numbers of questions give, and the last of them as dense', () => {
  const shares = [...['三国演义', 'and the dictionary', 'and its own answers'].map((name) => rowOf(name)[2])];
  for (const share of [...shares, ...['int8', 'int4'].map((name) => rowOf(name)[1])]) {
    const right = (number(share) / 100) * chosen.exam;
    expect(Math.abs(right - Math.round(right)), share).toBeLessThan(0.0006 * chosen.exam);
  }
  expect(rowOf('dense')[1]).toBe(shares[2]);
});

it('the README shows the size of the model', () => {
  const model = newModel(chosen, chosen.vocabularySize);
  const weights = model.parameters().reduce((sum, { value }) => sum + value.size, 0);
  expect(rowOf('dense')[0]).toBe(formatBytes(4 * weights));
});
