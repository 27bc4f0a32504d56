import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { phase } from './phase.mjs';

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Brings the pnpm that package.json pins into `.tools/`. Returns the path of its command. */
export async function ensurePnpm(root, env) {
  const version = readJson(join(root, 'package.json')).packageManager.split('@')[1];
  const tools = join(root, '.tools');
  const manifest = join(tools, 'node_modules/pnpm/package.json');
  if (!existsSync(manifest) || readJson(manifest).version !== version) {
    mkdirSync(tools, { recursive: true });
    writeFileSync(join(tools, 'package.json'), '{ "private": true }\n');
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--prefer-offline'];
    await phase(`Get pnpm ${version}`, 'npm', ['install', ...quiet, `pnpm@${version}`], { cwd: tools, env });
  }
  return join(tools, 'node_modules/.bin/pnpm');
}

/** The folders with a package.json of the workspace, as pnpm-workspace.yaml lists them. */
export function workspaceFolders(root) {
  const below = (parent) => readdirSync(join(root, parent)).map((name) => join(parent, name));
  const folders = [...below('packages'), ...below('examples'), 'benchmarks'];
  return folders.filter((folder) => existsSync(join(root, folder, 'package.json'))).sort();
}

/** Everything that decides what `pnpm install` does, as one hash. */
function fingerprint(root) {
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch}\n`);
  const manifests = workspaceFolders(root).map((folder) => join(folder, 'package.json'));
  for (const file of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests]) {
    hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/** Installs the locked dependencies, unless nothing that decides them has changed since the last time. */
export async function ensureInstalled(root, pnpm, env) {
  const marker = join(root, 'node_modules/.frugal-installed');
  const wanted = fingerprint(root);
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return;
  // CI: pnpm asks no questions.
  const hint =
    'After a change to a package.json run `npm run pnpm -- install`, which updates pnpm-lock.yaml.';
  const options = { cwd: root, env: { ...env, CI: 'true' }, hint };
  await phase('Install packages', pnpm, ['install', '--frozen-lockfile', '--prefer-offline'], options);
  writeFileSync(marker, wanted);
}
