#!/usr/bin/env node
/**
 * The way into the repository from Node and npm alone: brings the pinned pnpm, installs, builds, and runs what was
 * asked. Every step is skipped when nothing it depends on has changed, so a second call needs seconds and no network.
 *
 *   npm start [-- --quick --no-serve …]   the example pretrain-distill-deploy
 *   npm test [-- packages/trainer …]      all tests, or those of a path
 *   npm run build | lint | bench          the parts of it
 *   npm run pnpm -- add …                 the pinned pnpm, for contributors
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled, ensurePnpm } from './install.mjs';
import { PhaseError, phase } from './phase.mjs';

const root = join(fileURLToPath(import.meta.url), '../..');
const cache = join(root, '.cache');
const bin = join(root, 'node_modules/.bin');
const MINIMUM_NODE = [20, 19];

/** npm exports its own settings to scripts; pnpm must not read them as its own, except where the packages come from. */
function cleanEnvironment() {
  const keep = /^npm_config_(registry|https?_proxy|proxy|noproxy|cafile)$/i;
  const entries = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || keep.test(name));
  const environment = Object.fromEntries(entries);
  const path = [join(root, '.tools/node_modules/.bin'), bin, environment.PATH].join(delimiter);
  return { ...environment, PATH: path, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1])) return;
  console.error(`Frugal needs Node ${MINIMUM_NODE.join('.')} or newer: this is ${process.versions.node}.`);
  process.exit(1);
}

const environment = cleanEnvironment();

function turbo(label, ...tasks) {
  const args = ['run', ...tasks, '--output-logs=errors-only', '--no-update-notifier', '--log-order=grouped'];
  return phase(label, join(bin, 'turbo'), args, { cwd: root, env: environment });
}

/** Compiles the C++ kernels. Without a compiler the build says so, and the TypeScript backend takes over. */
async function buildNative() {
  if (process.env.FRUGAL_NATIVE === 'off') return;
  const folder = join(root, 'packages/backend-cpu');
  if (!existsSync(join(folder, 'build.mjs'))) return;
  const log = await phase('Compile native kernels', process.execPath, ['build.mjs'], {
    cwd: folder,
    env: environment,
  });
  const notes = log.split('\n').filter((line) => /reference backend/.test(line));
  for (const note of notes) console.error(`  ${note}`);
}

const buildScripts = () => turbo('Build packages', 'build');
const buildTypes = () => turbo('Emit declarations', '//#build-types');

/** Runs a command with the terminal as its own; resolves with its exit code. */
function attach(command, args, extra = {}) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...environment, ...extra } });
  const forward = (signal) => child.kill(signal);
  process.on('SIGTERM', forward);
  process.on('SIGINT', () => {}); // the terminal sends it to the child as well; wait for its answer
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}

/**
 * Runs a built program inside this process, so that signals and the terminal reach it directly. A Ctrl-C below
 * `npm` arrives twice (from the terminal and from npm); the second one is dropped, or it would look like an impatient user.
 */
async function become(program, args) {
  const emit = process.emit;
  let last = 0;
  process.emit = function emitOnce(name, ...rest) {
    if (name === 'SIGINT') {
      const repeated = Date.now() - last < 250;
      last = Date.now();
      if (repeated) return true;
    }
    return emit.call(this, name, ...rest);
  };
  process.argv = [process.execPath, program, ...args];
  await import(pathToFileURL(program).href);
}

function readLines(file) {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

async function test(args) {
  const folder = join(cache, 'test');
  const skipLog = join(folder, 'skipped.jsonl');
  const summaryFile = join(folder, 'summary.json');
  mkdirSync(folder, { recursive: true });
  rmSync(skipLog, { force: true });
  rmSync(summaryFile, { force: true });
  const code = await attach(
    join(bin, 'vitest'),
    ['run', '--reporter=default', '--reporter=./scripts/summary-reporter.mjs', ...args],
    {
      FRUGAL_SKIP_LOG: skipLog,
      FRUGAL_TEST_SUMMARY: summaryFile,
    },
  );
  const skipped = readLines(skipLog);
  for (const { what, why } of skipped) console.log(`skipped: ${what}: ${why}`);
  if (existsSync(summaryFile)) {
    const { passed, failed, skipped: count, files, seconds } = JSON.parse(readFileSync(summaryFile, 'utf8'));
    console.log(`tests: ${passed} passed, ${failed} failed, ${count} skipped (${files} files, ${seconds} s)`);
  }
  return code;
}

async function bench(args) {
  return attach(process.execPath, [join(root, 'benchmarks/run.mjs'), ...args]);
}

const example = join(root, 'examples/pretrain-distill-deploy/dist/main.js');
const commands = {
  start: async (args) => {
    await buildScripts();
    await buildNative();
    await become(example, args);
  },
  test: async (args) => {
    await buildScripts();
    await buildNative();
    return test(args);
  },
  build: async () => {
    await buildScripts();
    await buildNative();
    await buildTypes();
  },
  lint: async (args) => {
    const code = await attach(join(bin, 'biome'), ['check', ...args]);
    await buildScripts(); // so that `frugal` runs after any command
    return code;
  },
  bench: async (args) => {
    await buildScripts();
    await buildNative();
    return bench(args);
  },
};

async function main() {
  checkNode();
  const [name, ...args] = process.argv.slice(2);
  const pnpm = await ensurePnpm(root, environment);
  if (name === 'pnpm') return attach(pnpm, args);
  if (!Object.hasOwn(commands, name ?? '')) {
    console.error(`usage: node scripts/boot.mjs ${[...Object.keys(commands), 'pnpm'].join('|')} [arguments]`);
    return 2;
  }
  await ensureInstalled(root, pnpm, environment);
  return commands[name](args);
}

try {
  const code = await main();
  if (code !== undefined) process.exitCode = code;
} catch (error) {
  if (!(error instanceof PhaseError)) throw error;
  if (error.hint) console.error(error.hint);
  process.exitCode = 1;
}
