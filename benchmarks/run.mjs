import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * Runs the built benchmarks named as arguments, or all of them one after the other:
 *   npm run bench                          all
 *   npm run bench -- import-time           one
 *   npm run bench -- kernels --json FILE   with options for it: all that follows the first one
 */
const folder = import.meta.dirname;
const known = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'main.ts')));
const words = process.argv.slice(2);
const split = words.findIndex((word) => word.startsWith('--'));
const named = split < 0 ? words : words.slice(0, split);
const options = split < 0 ? [] : words.slice(split).filter((word) => word !== '--');

const unknown = named.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`unknown benchmark: ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  process.exit(2);
}
const keeps = resolve(options[options.indexOf('--json') + 1] ?? '').startsWith(join(folder, 'results'));
let failed = 0;
for (const name of named.length > 0 ? named : known) {
  console.log(`== ${name}`);
  const program = join(folder, 'dist', name, 'main.js');
  const { status } = spawnSync(process.execPath, [program, ...options], { stdio: 'inherit' });
  if (status !== 0) failed += 1;
}
// README.md shows committed results.
if (keeps) spawnSync(process.execPath, [join(folder, '../scripts/readme-claims.mjs')], { stdio: 'inherit' });
process.exitCode = failed > 0 ? 1 : 0;
