/** Puts the results of benchmarks into README.md: `node scripts/readme-claims.mjs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { claimsMarkdown, peersMarkdown, replaceBetween } from './claims-markdown.mjs';

const root = join(import.meta.dirname, '..');
const resultOf = (name) => JSON.parse(readFileSync(join(root, `benchmarks/results/${name}.json`), 'utf8'));
const file = join(root, 'README.md');
const claims = replaceBetween(readFileSync(file, 'utf8'), 'claims', claimsMarkdown(resultOf('claims')));
writeFileSync(file, replaceBetween(claims, 'peers', peersMarkdown(resultOf)));
