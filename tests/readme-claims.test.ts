import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { claimsMarkdown, peersMarkdown, replaceBetween } from '../scripts/claims-markdown.mjs';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');
const resultOf = (name: string) => JSON.parse(read(`benchmarks/results/${name}.json`));

it('the table of claims in README.md is that of the measured results', () => {
  const page = read('README.md');
  expect(replaceBetween(page, 'claims', claimsMarkdown(resultOf('claims')))).toBe(page);
});

it('the table of peers in README.md is that of the measured results', () => {
  const page = read('README.md');
  expect(replaceBetween(page, 'peers', peersMarkdown(resultOf))).toBe(page);
});

it('all claims of the article stand in the results, each with the command that measures it', () => {
  const { results } = resultOf('claims') as {
    results: { claims: { claim: string; command: string; note: string }[] }[];
  };
  const claims = results.flatMap((result) => result.claims);
  expect(new Set(claims.map(({ claim }) => claim)).size).toBe(6);
  for (const { command } of claims) expect(command).toMatch(/^npm run bench -- claims --only [a-z-]+$/);
});
