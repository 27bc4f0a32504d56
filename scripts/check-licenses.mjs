#!/usr/bin/env node
/**
 * Fails when a package that ours bring along (directly or not) has a licence that does not allow what Apache-2.0 does.
 * Reads what is installed: run it after an install.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runQuietly } from './run-quietly.mjs';

/** Licences that ask for no more than a notice. */
const ALLOWED = new Set([
  ...['MIT', 'MIT-0', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0'],
  ...['BlueOak-1.0.0', 'CC0-1.0', 'Unlicense', 'Python-2.0', 'Zlib'],
]);

/** Whether an SPDX expression lets us choose allowed licences alone: `MIT OR GPL-3.0` does, `MIT AND GPL-3.0` does not. */
export function isAllowed(expression) {
  const bare = expression.trim().replace(/^\((.*)\)$/, '$1');
  if (/ OR /i.test(bare)) return bare.split(/ OR /i).some(isAllowed);
  if (/ AND /i.test(bare)) return bare.split(/ AND /i).every(isAllowed);
  return ALLOWED.has(bare);
}

/** One line per package whose licence is not allowed, from what `pnpm licenses list --json` prints. */
export function findForbidden(listed) {
  return Object.entries(listed).flatMap(([license, packages]) =>
    isAllowed(license)
      ? []
      : packages.map(({ name, versions }) => `${name} ${versions.join(', ')}: ${license}`),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(fileURLToPath(import.meta.url), '../..');
  const pnpm = [join(root, 'scripts/boot.mjs'), 'pnpm', '--filter', './packages/*', '-r'];
  const listed = JSON.parse(
    runQuietly(process.execPath, [...pnpm, 'licenses', 'list', '--prod', '--json'], root),
  );
  const forbidden = findForbidden(listed);
  for (const line of forbidden) console.error(line);
  const count = Object.values(listed).reduce((sum, packages) => sum + packages.length, 0);
  console.log(
    forbidden.length === 0
      ? `licences of ${count} packages: ${Object.keys(listed).sort().join(', ')}`
      : `${forbidden.length} packages with licences that are not allowed`,
  );
  // Nothing listed means that nothing was looked at.
  process.exitCode = forbidden.length === 0 && count > 0 ? 0 : 1;
}
