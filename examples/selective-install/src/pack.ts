import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { run } from './run.js';

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Tarballs of `@frugal/quant` and of what it depends on, as they are published: pnpm puts versions for `workspace:`. */
export function packOurs(example: string, target: string): void {
  pnpm(example, '--filter-prod', '@frugal/quant...', '-r', 'pack', '--pack-destination', target);
}

/** The same of the packages of others that ours need, from the copies that are installed here: no network is used. */
export function packTheirs(example: string, target: string): void {
  const found = new Map<string, string>();
  collect(join(example, 'package.json'), found);
  for (const folder of found.values()) pnpm(example, '-C', folder, 'pack', '--pack-destination', target);
}

/** The pnpm that the repository pins. */
function pnpm(example: string, ...args: string[]): void {
  run('npm', ['run', '--silent', 'pnpm', '--', ...args], join(example, '../..'));
}

/** Folders of the packages outside the workspace that a manifest leads to, by name. */
function collect(file: string, found: Map<string, string>, seen = new Set<string>()): void {
  if (seen.has(file)) return;
  seen.add(file);
  const require = createRequire(file);
  const { dependencies = {} } = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  for (const name of Object.keys(dependencies)) {
    const manifest = require.resolve(`${name}/package.json`);
    if (!name.startsWith('@frugal/')) found.set(name, dirname(manifest));
    collect(manifest, found, seen);
  }
}
