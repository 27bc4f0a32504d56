#!/usr/bin/env node
/**
 * Packs all packages, installs the tarballs in an empty folder outside the workspace, and uses them there: every entry is
 * imported, a small model trained, saved and continued, the `frugal` command run. Three times: with this machine's
 * platform package, without any addon (the reference backend takes over), and with the addon built from the sources in
 * the tarball (`--source`, some minutes).
 *
 *   node scripts/try-packages.mjs [--source] [--tarballs FOLDER] [NODE ...]
 *
 * Each NODE is a program to run the packages with; default: the one that runs this. Needs `npm run build`.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { platformPackageName } from '../packages/backend-cpu/platform-package.mjs';
import { packAll } from './pack.mjs';
import { runQuietly } from './run-quietly.mjs';

const root = join(fileURLToPath(import.meta.url), '../..');
const platformTarball = `${platformPackageName().replace('@', '').replace('/', '-')}-`;

function install(folder, tarballs) {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  runQuietly('npm', ['install', ...quiet, ...tarballs], folder);
  copyFileSync(join(root, 'scripts/outside/smoke.mjs'), join(folder, 'smoke.mjs'));
}

function use(node, folder, expected) {
  const log = (label, text) => console.log(`  ${label}: ${text.trim().split('\n').at(-1)}`);
  const environment = expected === 'reference' ? { FRUGAL_NATIVE: '' } : { FRUGAL_NATIVE: 'required' };
  rmSync(join(folder, 'model'), { recursive: true, force: true });
  log('packages', runQuietly(node, ['smoke.mjs', expected], folder, environment));
  const frugal = join(folder, 'node_modules/@frugal/cli/bin/frugal.js');
  const inspected = JSON.parse(runQuietly(node, [frugal, 'inspect', 'model', '--json'], folder, environment));
  log('frugal inspect', JSON.stringify(inspected).slice(0, 100));
}

function main() {
  const { values, positionals } = parseArgs({
    options: { source: { type: 'boolean' }, tarballs: { type: 'string' } },
    allowPositionals: true,
  });
  const nodes = positionals.length > 0 ? positionals.map((node) => resolve(node)) : [process.execPath];
  const scratch = mkdtempSync(join(tmpdir(), 'frugal-outside-'));
  try {
    const folder = values.tarballs ? resolve(values.tarballs) : join(scratch, 'tarballs');
    if (!values.tarballs) packAll(folder);
    const all = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    const ours = all
      .filter((name) => !/^frugal-backend-cpu-[a-z]/.test(name))
      .map((name) => join(folder, name));
    const platform = all.filter((name) => name.startsWith(platformTarball)).map((name) => join(folder, name));

    const plain = join(scratch, 'plain');
    install(plain, [...ours, ...platform]);
    const addon = join(plain, 'node_modules', platformPackageName());
    if (platform.length > 0) {
      console.log('with the package of this platform');
      for (const node of nodes) use(node, plain, 'cpu');
    } else console.log(`no addon of ${platformPackageName()} here: it is left out`);

    console.log('without an addon');
    if (existsSync(addon)) rmSync(addon, { recursive: true });
    for (const node of nodes) use(node, plain, 'reference');

    if (values.source) {
      console.log('with an addon built from the tarball');
      const build = join(plain, 'node_modules/@frugal/backend-cpu/build.mjs');
      console.log(`  ${runQuietly(process.execPath, [build], dirname(build)).trim()}`);
      for (const node of nodes) use(node, plain, 'cpu');
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

main();
