import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatBytes } from '@frugal/report';
import { packOurs, packTheirs } from './pack.js';
import { run } from './run.js';
import { measureInstall } from './size.js';

/** Packages of ours, and everything: bytes of the installed files. */
const LIMITS = { ours: 2e6, all: 15e6 };

const example = fileURLToPath(new URL('..', import.meta.url));

function install(folder: string): void {
  const tarballs = join(folder, 'tarballs');
  mkdirSync(tarballs);
  packOurs(example, tarballs);
  packTheirs(example, tarballs);
  const packed = readdirSync(tarballs).map((name) => join(tarballs, name));
  cpSync(join(example, 'app'), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['install', '--offline', ...quiet, ...packed], folder);
}

/** Prints the sizes; false when one is beyond its limit, or what belongs elsewhere came along. */
function checkSizes(folder: string): boolean {
  const { packages, files } = measureInstall(join(folder, 'node_modules'));
  const ours = [...packages].filter(([name]) => name.startsWith('@frugal/'));
  const sum = (entries: Iterable<[string, number]>) =>
    [...entries].reduce((total, [, size]) => total + size, 0);
  const sizes = { ours: sum(ours), all: sum(packages) };
  for (const [name, size] of packages)
    if (!name.startsWith('.')) console.log(`  ${name.padEnd(22)} ${formatBytes(size)}`);
  console.log(`our packages:      ${formatBytes(sizes.ours)} of ${formatBytes(LIMITS.ours)}`);
  console.log(`the whole install: ${formatBytes(sizes.all)} of ${formatBytes(LIMITS.all)}`);
  const native = files.filter((file) => file.endsWith('.node'));
  if (native.length > 0) console.error(`native code came along: ${native.join(', ')}`);
  return sizes.ours <= LIMITS.ours && sizes.all <= LIMITS.all && native.length === 0;
}

function main(): void {
  parseArgs({ options: { quick: { type: 'boolean' }, 'no-serve': { type: 'boolean' } } });
  const folder = mkdtempSync(join(tmpdir(), 'selective-install-'));
  try {
    install(folder);
    const fits = checkSizes(folder);
    console.log(run(process.execPath, ['quantize.js'], folder).trimEnd());
    if (fits) return;
    console.error('The install is larger than it may be.');
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
