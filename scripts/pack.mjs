#!/usr/bin/env node
/**
 * Makes the tarballs that are published: every package of ours as npm gets it, and the addons of platforms.
 *
 *   node scripts/pack.mjs --out FOLDER                    with the addon of this machine, if it is built
 *   node scripts/pack.mjs --out FOLDER --addons FOLDER    with the packages that platform-package.mjs made there, one a folder
 *
 * @frugal/backend-cpu lists the platforms that are there as optional dependencies of its own version. It does so only here:
 * in the workspace such packages do not exist. Needs `npm run build`.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePlatformPackage } from '../packages/backend-cpu/platform-package.mjs';
import { runQuietly } from './run-quietly.mjs';

const root = join(fileURLToPath(import.meta.url), '../..');
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Folders of platform packages: those given, or one made of this machine's addon; none where there is no addon. */
function platformFolders(addons, scratch) {
  if (addons) {
    const folders = readdirSync(addons).map((name) => join(resolve(addons), name));
    return folders.filter((folder) => existsSync(join(folder, 'package.json')));
  }
  if (!existsSync(join(root, 'packages/backend-cpu/native/build/frugal-cpu.node'))) return [];
  const folder = join(scratch, 'platform');
  writePlatformPackage(folder);
  return [folder];
}

/** Packs the tarball of backend-cpu anew, with the platforms as optional dependencies. */
function addPlatforms(out, platforms, scratch) {
  const tarball = readdirSync(out).find((name) => /^frugal-backend-cpu-\d/.test(name));
  const folder = join(scratch, 'backend-cpu');
  mkdirSync(folder);
  runQuietly('tar', ['-xzf', join(out, tarball), '-C', folder], root);
  const file = join(folder, 'package/package.json');
  const manifest = readJson(file);
  for (const { name, version } of platforms)
    if (version !== manifest.version)
      throw new Error(
        `[pack] versions differ: got ${name} ${version}; expected ${manifest.version}. Build the addons from the same commit.`,
      );
  const optionalDependencies = Object.fromEntries(platforms.map(({ name, version }) => [name, version]));
  writeFileSync(file, `${JSON.stringify({ ...manifest, optionalDependencies }, null, 2)}\n`);
  rmSync(join(out, tarball));
  runQuietly('npm', ['pack', '--ignore-scripts', '--pack-destination', out], join(folder, 'package'));
}

/** Writes all tarballs into `out` and returns their names. @throws Error when a package has not been built */
export function packAll(out, { addons } = {}) {
  const target = resolve(out);
  mkdirSync(target, { recursive: true });
  const scratch = mkdtempSync(join(tmpdir(), 'frugal-pack-'));
  try {
    const pnpm = [join(root, 'scripts/boot.mjs'), 'pnpm', '--filter', './packages/*', '-r', 'pack'];
    runQuietly(process.execPath, [...pnpm, '--pack-destination', target], root);
    const folders = platformFolders(addons, scratch);
    const platforms = folders.map((folder) => readJson(join(folder, 'package.json')));
    for (const folder of folders) runQuietly('npm', ['pack', '--pack-destination', target], folder);
    if (platforms.length > 0) addPlatforms(target, platforms, scratch);
    return readdirSync(target)
      .filter((name) => name.endsWith('.tgz'))
      .sort();
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: 'string' }, addons: { type: 'string' } } });
  if (!values.out) {
    console.error('usage: node scripts/pack.mjs --out FOLDER [--addons FOLDER]');
    process.exit(2);
  }
  for (const name of packAll(values.out, values)) console.log(name);
}
