import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from '@frugal/cli';
import { expect, it } from 'vitest';
import { predictionsMarkdown, replaceBetween } from '../scripts/claims-markdown.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = await readFile(`${root}docs/plan.md`, 'utf8');
const shown = [...page.matchAll(/```console\n\$ (frugal plan .*)\n([\s\S]*?)```/g)];

it('docs/plan.md shows two models on three machines', () => {
  expect(shown.length).toBe(6);
});

it.each(shown.map(([, command, output]) => ({ command, output })))(
  '$command prints what the page shows',
  async ({ command, output }) => {
    const args = command.split(' ').slice(1);
    const located = args.map((word) => (word.startsWith('docs/') ? `${root}${word}` : word));
    const written: string[] = [];
    const terminal = { out: (text: string) => void written.push(text), err: () => {}, input: process.stdin };
    expect(await run(located, { terminal })).toBe(0);
    expect(written.join('').trimEnd()).toBe(output.trimEnd());
  },
);

it('docs/plan.md shows the predictions beside what was measured', async () => {
  const measured = JSON.parse(await readFile(`${root}benchmarks/results/plan.json`, 'utf8'));
  expect(replaceBetween(page, 'predictions', predictionsMarkdown(measured))).toBe(page);
});
