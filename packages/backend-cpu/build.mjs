#!/usr/bin/env node
/**
 * Builds the native addon with nothing but a C++20 compiler and the headers of the npm package node-api-headers.
 * Kernels are compiled once per ISA level; only units whose sources, flags or compiler changed are compiled again.
 *
 *   FRUGAL_NATIVE=required   a missing compiler is an error (otherwise one line says that the reference backend runs)
 *   FRUGAL_NATIVE=off        builds nothing
 *   CXX                      the compiler to use
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const native = join(root, 'native');
const output = join(native, 'build');
const addon = join(output, 'frugal-cpu.node');
const stampFile = join(output, 'stamp.json');
const isX64 = process.arch === 'x64';

// Flags that g++ and clang++ share. No -ffast-math: it would turn off denormals for the whole process.
const commonFlags = [
  ...['-std=c++20', '-O2', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-psabi'],
  ...['-fno-math-errno', '-fno-trapping-math', '-ffp-contract=off'],
];
// The intrinsics of g++ 12 begin from undefined vectors, which it then warns about.
const gccFlags = ['-Wno-maybe-uninitialized', '-Wno-uninitialized', '-Wno-ignored-attributes'];
const kernelFlags = ['-fno-exceptions', '-fno-rtti'];
const avx512 = ['-march=x86-64-v4', '-mprefer-vector-width=512'];
const bf16 = [...avx512, '-mavx512vnni', '-mavx512bf16'];

/** Compiler flags of each ISA level; `only` names the families that have a version of their own there. */
const levels = isX64
  ? [
      { name: 'scalar', flags: ['-march=x86-64-v2'] },
      { name: 'avx2', flags: ['-march=x86-64-v3'] },
      { name: 'avx512', flags: avx512 },
      { name: 'avx512bf16', flags: bf16, only: familiesIn('FRUGAL_BF16_FAMILIES') },
      {
        name: 'amx',
        flags: [...bf16, '-mamx-tile', '-mamx-bf16', '-mamx-int8'],
        only: familiesIn('FRUGAL_AMX_FAMILIES'),
      },
    ]
  : [{ name: 'scalar', flags: [] }];

/** Families that a list of native/core/families.hpp names: those with a version of their own at a level. */
function familiesIn(list) {
  const text = readFileSync(join(native, 'core/families.hpp'), 'utf8');
  return [
    ...text
      .slice(text.indexOf(`define ${list}`))
      .split('\n\n')[0]
      .matchAll(/X\((\w+)\)/g),
  ].map((match) => match[1]);
}

function filesIn(folder, extension) {
  const names = readdirSync(join(native, folder)).filter((name) => name.endsWith(extension));
  return names.sort().map((name) => join(native, folder, name));
}

/** The first compiler that works, with the line of its version. */
function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++'];
  for (const command of candidates) {
    const result = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (result.status === 0) return { command, version: result.stdout.split('\n')[0] };
  }
  return { command: null, tried: candidates };
}

function headersFolder() {
  return join(dirname(fileURLToPath(import.meta.resolve('node-api-headers/package.json'))), 'include');
}

/** Everything to compile: source, object file and flags. */
function units(compiler) {
  const common = [...commonFlags, ...(/clang/i.test(compiler.version) ? [] : gccFlags)];
  const core = filesIn('core', '.cpp').map((source) => ({
    source,
    object: join(output, `${baseName(source)}.o`),
    flags: [...common, '-I', headersFolder(), ...(isX64 ? ['-march=x86-64-v2'] : [])],
  }));
  const kernels = levels.flatMap(({ name, flags, only }) =>
    filesIn('kernels', '.cpp')
      .filter((source) => !only || only.includes(baseName(source).replaceAll('-', '_')))
      .map((source) => ({
        source,
        object: join(output, `${baseName(source)}.${name}.o`),
        flags: [...common, ...kernelFlags, ...flags, `-DFRUGAL_ISA=${name}`],
      })),
  );
  return [...kernels, ...core];
}

function baseName(source) {
  return source.slice(source.lastIndexOf('/') + 1, -'.cpp'.length);
}

/** Hash of all that decides an object file: headers count for every unit. */
function hasher(compiler) {
  const headers = createHash('sha256').update(`${compiler.command} ${compiler.version}\n`);
  for (const folder of ['core', 'simd', 'kernels']) {
    for (const file of filesIn(folder, '.hpp'))
      headers.update(file.slice(root.length)).update(readFileSync(file));
  }
  const shared = headers.digest('hex');
  return ({ source, flags }) =>
    createHash('sha256')
      .update(shared)
      .update(flags.join(' ').replaceAll(root, ''))
      .update(readFileSync(source))
      .digest('hex');
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data));
    child.on('error', (error) => resolve({ code: 127, log: error.message }));
    child.on('close', (code) => resolve({ code, log }));
  });
}

/** Compiles on all cores; stops at the first error. */
async function compile(compiler, list) {
  const queue = [...list];
  let failure = null;
  const worker = async () => {
    for (let unit = queue.shift(); unit && !failure; unit = queue.shift()) {
      const { code, log } = await run(compiler.command, [
        ...unit.flags,
        '-c',
        unit.source,
        '-o',
        unit.object,
      ]);
      if (code !== 0) failure ??= `${unit.source}\n${log}`;
      else if (log.trim()) console.warn(log.trim());
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
  if (failure) throw new Error(failure);
}

async function link(compiler, objects) {
  // nodelete: pool threads must not lose their code when a worker unloads the addon.
  const platform =
    process.platform === 'darwin'
      ? ['-undefined', 'dynamic_lookup']
      : ['-Wl,-z,nodelete', '-Wl,--gc-sections', '-static-libstdc++', '-static-libgcc', '-pthread'];
  const temporary = `${addon}.${process.pid}.tmp`;
  const { code, log } = await run(compiler.command, ['-shared', '-o', temporary, ...objects, ...platform]);
  if (code !== 0) throw new Error(`linking ${addon}\n${log}`);
  renameSync(temporary, addon); // a process that has the old addon loaded keeps it
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return {};
  }
}

async function build() {
  if (process.env.FRUGAL_NATIVE === 'off') return 0;
  const compiler = findCompiler();
  if (!compiler.command || process.platform === 'win32') {
    const why = compiler.command
      ? 'Windows is not supported'
      : `no C++ compiler (tried ${compiler.tried.join(', ')})`;
    rmSync(addon, { force: true });
    console.log(
      `backend-cpu: ${why}: the reference backend will run, which is hundreds of times slower. ` +
        'Install g++ 11 or clang++ 14 (or newer), or set CXX, and run this again.',
    );
    return process.env.FRUGAL_NATIVE === 'required' ? 1 : 0;
  }
  const started = Date.now();
  mkdirSync(output, { recursive: true });
  const all = units(compiler);
  const hashOf = hasher(compiler);
  const hashes = Object.fromEntries(all.map((unit) => [baseNameOfObject(unit), hashOf(unit)]));
  const before = readStamp();
  const stale = all.filter(
    (unit) => before[baseNameOfObject(unit)] !== hashes[baseNameOfObject(unit)] || !existsSync(unit.object),
  );
  if (stale.length === 0 && existsSync(addon)) {
    console.log('backend-cpu: up to date');
    return 0;
  }
  try {
    await compile(compiler, stale);
    await link(
      compiler,
      all.map((unit) => unit.object),
    );
  } catch (error) {
    console.error(`backend-cpu: ${compiler.version} failed on ${error.message}`);
    return 1;
  }
  writeFileSync(stampFile, JSON.stringify(hashes, null, 2));
  console.log(
    `backend-cpu: ${stale.length} units with ${compiler.version} in ${((Date.now() - started) / 1000).toFixed(1)} s`,
  );
  return 0;
}

function baseNameOfObject({ object }) {
  return object.slice(object.lastIndexOf('/') + 1);
}

process.exitCode = await build();
