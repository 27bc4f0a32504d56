import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { forms } from '../src/forms.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');
const header = shown.findIndex((line) => line.startsWith('model '));
const rows = shown.slice(header + 2, shown.indexOf('', header)).map((line) => line.split(/ {2,}/));

it('the README shows the forms that are made, in their order', () => {
  expect(rows.map(([name]) => name)).toEqual(['bf16', ...forms.map(({ name }) => name)]);
});

it('the README shows dense sizes of two bytes a parameter', () => {
  for (const [name, parameters, size] of rows.filter(([name]) =>
    /^(bf16|half, distilled|half the layers)$/.test(name),
  )) {
    const number = (text: string) => Number.parseFloat(text) * (/M/.test(text) ? 1e6 : 1e3);
    expect(number(size) / number(parameters), name).toBeCloseTo(2, 1);
  }
});
