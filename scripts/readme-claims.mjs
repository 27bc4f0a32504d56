/** Puts the table of `benchmarks/results/claims.json` into the pages that show it: `node scripts/readme-claims.mjs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { claimsMarkdown, replaceBetween } from './claims-markdown.mjs';

const root = join(import.meta.dirname, '..');
const table = claimsMarkdown(JSON.parse(readFileSync(join(root, 'benchmarks/results/claims.json'), 'utf8')));
for (const page of ['README.md']) {
  const file = join(root, page);
  writeFileSync(file, replaceBetween(readFileSync(file, 'utf8'), 'claims', table));
}
