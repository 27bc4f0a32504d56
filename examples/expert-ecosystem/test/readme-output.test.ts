import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { addedDomain, firstDomains } from '../src/corpus.js';
import { settings } from '../src/settings.js';
import { printMixture, type Scores } from '../src/table.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');
const domains = [...firstDomains, addedDomain];
const names = ['base', 'specialist of the domain', 'mixture of three', 'a fourth added'] as const;

/** The numbers of one row of the first table. */
function scoresOf(name: string): Scores {
  const cells =
    shown
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length)
      .trim()
      .split(/ +/) ?? [];
  return Object.fromEntries(domains.map((domain, i) => [domain, Number(cells[i])]));
}

it('the README shows what the program makes of its numbers', () => {
  const lines: string[] = [];
  const log = vi
    .spyOn(console, 'log')
    .mockImplementation((text: string) => void lines.push(...text.split('\n')));
  onTestFinished(() => log.mockRestore());
  const [base, own, mixed, extended] = names.map(scoresOf);
  const rows = {
    ...{ base, 'specialist of the domain': own, 'mixture of three': mixed, 'a fourth added': extended },
  };
  printMixture(rows, { first: firstDomains, added: addedDomain });
  const printed = lines.slice(1);
  // Changes are made from numbers with more digits than the table shows.
  const numbers = (line: string) =>
    [...line.matchAll(/[+−]?[\d.]+(?= %)/g)].map(([text]) => Number(text.replace('−', '-')));
  const words = (line: string) => line.replace(/[+−]?[\d.]+ %/g, '%');
  for (const [i, line] of printed.entries()) {
    expect(words(line)).toBe(words(shown[i]));
    for (const [j, value] of numbers(line).entries()) expect(value).toBeCloseTo(numbers(shown[i])[j], 1);
  }
});

it('the README shows the layers of the full size', () => {
  const layers = shown.filter((line) => line.startsWith('blocks.'));
  expect(layers.map((line) => line.split(/ /)[0])).toEqual(
    Array.from({ length: settings.full.layers }, (_, i) => `blocks.${i}.mlp`),
  );
});
