import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { claimsMarkdown, peersMarkdown, replaceBetween } from '../scripts/claims-markdown.mjs';

const read = (path: string) => readFile(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

it('the table of claims in README.md is that of the measured results', async () => {
  const page = await read('README.md');
  const table = claimsMarkdown(JSON.parse(await read('benchmarks/results/claims.json')));
  expect(replaceBetween(page, 'claims', table)).toBe(page);
});

it('the table of peers in README.md is that of the measured results', async () => {
  const page = await read('README.md');
  const [infer, train] = await Promise.all(
    ['infer', 'train'].map(async (name) => JSON.parse(await read(`benchmarks/results/${name}.json`))),
  );
  expect(replaceBetween(page, 'peers', peersMarkdown({ infer, train }))).toBe(page);
});

it('all claims of the article stand in the results, each with the command that measures it', async () => {
  const { results } = JSON.parse(await read('benchmarks/results/claims.json')) as {
    results: { claims: { claim: string; command: string; note: string }[] }[];
  };
  const claims = results.flatMap((result) => result.claims);
  expect(new Set(claims.map(({ claim }) => claim)).size).toBe(6);
  for (const { command } of claims) expect(command).toMatch(/^npm run bench -- claims --only [a-z-]+$/);
});
