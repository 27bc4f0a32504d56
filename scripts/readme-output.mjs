/**
 * Puts the output of a run into the pages that show it: `npm start -- --no-serve | node scripts/readme-output.mjs`.
 * A page marks the place with `<!-- output: npm start -- --no-serve -->`; what a code block there showed is replaced.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const pages = ['README.md', 'examples/pretrain-distill-deploy/README.md'];
const marker = '<!-- output: npm start -- --no-serve -->';

const printed = readFileSync(0, 'utf8');
const table = printed.slice(printed.indexOf('\nmodel ') + 1).trim();
if (!printed.includes('\nmodel ')) {
  console.error('[readme-output] no table in the input: pipe the output of npm start -- --no-serve into it.');
  process.exit(1);
}
const machine = `${cpus()[0].model.trim()}, ${cpus().length} threads, Node ${process.versions.node}`;
const block = `${marker}\n\n\`\`\`text\n${table}\n\`\`\`\n\nMeasured on: ${machine}.\n`;

for (const page of pages) {
  const file = join(root, page);
  const text = readFileSync(file, 'utf8');
  const at = text.indexOf(marker);
  if (at < 0) throw new Error(`[readme-output] ${page} has no place for the output`);
  const rest = text.slice(at + marker.length).replace(/^\s*```text[\s\S]*?```\s*(Measured on: .*\n)?/, '\n');
  writeFileSync(file, `${text.slice(0, at)}${block}\n${rest.trimStart()}`);
}
