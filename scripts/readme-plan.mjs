/**
 * Puts what `frugal plan` prints for the models and machines in docs/plan into docs/plan.md: `node scripts/readme-plan.mjs`,
 * after npm run build. The table of predictions and measurements comes from benchmarks/results/plan.json.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { predictionsMarkdown, replaceBetween } from './claims-markdown.mjs';

const root = join(import.meta.dirname, '..');
const file = join(root, 'docs/plan.md');
let page = readFileSync(file, 'utf8');
for (const [, command] of page.matchAll(/<!-- (frugal plan .*?) -->/g)) {
  const args = [join(root, 'packages/cli/dist/main.js'), ...command.split(' ').slice(1)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`[readme-plan] ${command}: ${stderr}`);
  page = replaceBetween(page, command, `\`\`\`console\n$ ${command}\n${stdout.trimEnd()}\n\`\`\`\n`);
}
const measured = JSON.parse(readFileSync(join(root, 'benchmarks/results/plan.json'), 'utf8'));
writeFileSync(file, replaceBetween(page, 'predictions', predictionsMarkdown(measured)));
