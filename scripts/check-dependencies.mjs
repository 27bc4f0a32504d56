#!/usr/bin/env node
/**
 * Checks what no compiler checks: that dependencies between packages point one way only (ALLOWED below is the table),
 * that imports are declared, that files stay short, and that nothing names a place outside the repository.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { workspaceFolders } from './install.mjs';

/** Which of our packages a package may use in its sources. A path such as tensor-core/formats allows that entry alone. */
const ALLOWED = {
  'tensor-core': [],
  checkpoint: ['tensor-core/formats'],
  tokenizers: [],
  report: [],
  'backend-cpu': ['tensor-core'],
  'backend-cuda': ['tensor-core'],
  'backend-ascend': ['tensor-core'],
  moe: ['tensor-core'],
  models: ['tensor-core', 'checkpoint', 'tokenizers', 'moe'],
  trainer: ['tensor-core', 'checkpoint', 'report'],
  compress: ['tensor-core', 'checkpoint', 'report'],
  quant: ['tensor-core', 'compress'],
  prune: ['tensor-core', 'compress', 'moe'],
  distill: ['tensor-core', 'compress', 'checkpoint'],
  lora: ['tensor-core', 'compress', 'checkpoint'],
  data: ['checkpoint', 'tokenizers'],
  eval: ['tensor-core', 'tokenizers', 'report'],
  serve: ['tensor-core', 'tokenizers'],
  cli: ['*'],
};

/** Packages of methods meet in `compress` only: not even their tests may use one another. */
const METHODS = new Set(['quant', 'prune', 'distill', 'lora']);

const MAX_LINES = 400;
const SOURCE = /\.(ts|mjs|js|cpp|cc|c|h|hpp|py|sh)$/;
const IGNORED = new Set([
  'node_modules',
  'dist',
  '.git',
  '.cache',
  '.tools',
  '.turbo',
  'runs',
  'fixtures',
  'coverage',
]);
// Written in parts, so that this file does not find itself.
const MACHINE_PATH = new RegExp(`(^|[\\s'"\`(=:])/(${['work', 'root', 'tmp', 'home'].join('|')})/[\\w.-]`);
const REGISTRY = new RegExp(`registry\\.(${['npmjs', 'yarnpkg', 'npmmirror'].join('|')})\\.`);

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (IGNORED.has(entry.name)) continue; // in a worktree, .git is a file
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

const isTest = (file) => /\.test\.(ts|mjs)$/.test(file) || /(^|\/)(test|\w+\.config\.ts$)/.test(file);

/** The package name of an import specifier, without its entry: `@a/b/c` → `@a/b`. */
const packageOf = (specifier) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

function mayUse(name, specifier) {
  const allowed = ALLOWED[name] ?? [];
  const target = specifier.replace('@frugal/', '');
  return allowed.some((entry) => entry === '*' || target === entry || target.startsWith(`${entry}/`));
}

function checkImport({ name, folder, manifest, file, specifier, rootDependencies }) {
  if (specifier.startsWith('node:')) return null;
  if (specifier.startsWith('.')) {
    const inside = !relative(folder, resolve(dirname(file), specifier)).startsWith('..');
    return inside ? null : `imports ${specifier} from outside its package: use the package's name`;
  }
  const wanted = packageOf(specifier);
  // Tests may stand where users stand.
  if (wanted === manifest.name)
    return /\/test\/|\.test\.ts$/.test(file)
      ? null
      : `imports its own package as ${specifier}: use a relative path`;
  const test = isTest(relative(folder, file));
  const ours = wanted.startsWith('@frugal/');
  if (ours && METHODS.has(name) && METHODS.has(wanted.slice('@frugal/'.length))) {
    return `imports ${specifier}: a method package never imports another, they meet in compress`;
  }
  if (ours && !test && name in ALLOWED && !mayUse(name, specifier)) {
    return `imports ${specifier}: ${name} may use ${ALLOWED[name].join(', ') || 'no other package of ours'}`;
  }
  const declared = {
    ...manifest.dependencies,
    ...manifest.peerDependencies,
    ...manifest.optionalDependencies,
  };
  const development = { ...manifest.devDependencies, ...rootDependencies };
  if (wanted in declared || (test && wanted in development)) return null;
  return `imports ${specifier}, which its package.json does not list in ${test ? 'dev' : ''}dependencies`;
}

function checkManifest(name, manifest) {
  const problems = [];
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    if (!dependency.startsWith('@frugal/')) continue;
    const entries = (ALLOWED[name] ?? []).map((entry) => entry.split('/')[0]);
    if (!entries.includes('*') && !entries.includes(dependency.replace('@frugal/', ''))) {
      problems.push(
        `depends on ${dependency}, which the table in scripts/check-dependencies.mjs does not allow`,
      );
    }
  }
  for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target !== 'string' && Object.keys(target)[0] !== '@frugal/source') {
      problems.push(`exports["${entry}"]: the condition "@frugal/source" must come first`);
    }
  }
  if (manifest.sideEffects !== false) problems.push('"sideEffects" must be false');
  if (manifest.type !== 'module') problems.push('"type" must be "module"');
  return problems;
}

function checkPackage(root, folder, rootDependencies) {
  const manifest = readJson(join(root, folder, 'package.json'));
  const published = folder.startsWith('packages');
  const name = manifest.name.replace('@frugal/', '');
  const problems = [];
  const report = (file, problem) => problems.push(`${relative(root, file)}: ${problem}`);
  if (published) {
    const manifestFile = join(root, folder, 'package.json');
    if (!(name in ALLOWED))
      report(manifestFile, `unknown package: add it to ALLOWED in scripts/check-dependencies.mjs`);
    for (const problem of checkManifest(name, manifest)) report(manifestFile, problem);
    if (!existsSync(join(root, folder, 'README.md'))) report(manifestFile, 'the package has no README.md');
  }
  for (const file of walk(join(root, folder))) {
    if (!/\.(ts|mjs)$/.test(file) || /\.config\.ts$/.test(file)) continue;
    const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'), true, true);
    const context = { name, folder: join(root, folder), manifest, file, rootDependencies };
    for (const { fileName: specifier } of importedFiles) {
      const problem = checkImport({ ...context, specifier });
      if (problem) report(file, problem);
    }
  }
  return problems;
}

function checkText(root) {
  const problems = [];
  for (const file of walk(root)) {
    const buffer = readFileSync(file);
    if (buffer.subarray(0, 8192).includes(0)) continue; // not text
    const name = relative(root, file);
    const text = buffer.toString('utf8');
    const lines = text.split('\n');
    if (SOURCE.test(file) && lines.length - 1 > MAX_LINES) {
      problems.push(`${name}: ${lines.length - 1} lines, at most ${MAX_LINES}: split it by concept`);
    }
    const config = /\.config\.ts$|scripts\/summary-reporter\.mjs$/.test(name);
    lines.forEach((line, index) => {
      const at = `${name}:${index + 1}`;
      if (MACHINE_PATH.test(line) && !line.startsWith('#!')) problems.push(`${at}: a path of one machine`);
      if (REGISTRY.test(line)) problems.push(`${at}: the host name of a registry`);
      if (/\.(ts|mjs)$/.test(name) && !config && /^export default\b/.test(line))
        problems.push(`${at}: a default export`);
    });
  }
  return problems;
}

/** Every problem of the repository at `root`, one line each. */
export function findProblems(root) {
  const rootDependencies = readJson(join(root, 'package.json')).devDependencies;
  const inPackages = workspaceFolders(root).flatMap((folder) => checkPackage(root, folder, rootDependencies));
  return [...inPackages, ...checkText(root)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = findProblems(join(fileURLToPath(import.meta.url), '../..'));
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'dependencies and files: no problem' : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
