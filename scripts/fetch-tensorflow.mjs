#!/usr/bin/env node
/**
 * Brings the TensorFlow that the tests of backend-cuda run on into .cache/tensorflow: the CPU build of its Python package
 * (230 MB), unpacked to the two libraries and the headers, and the binding compiled against them. Needs `npm run build`.
 * Prints the folder; ends with 1 and the reason when it cannot be had.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareTensorFlow } from '../packages/backend-cuda/dist/index.js';

const WHEEL = 'tensorflow-cpu==2.18.1';
const TFJS = '@tensorflow/tfjs-node-gpu@4.22.0';

const folder = join(fileURLToPath(new URL('..', import.meta.url)), '.cache/tensorflow');

function run(command, args, cwd = folder) {
  const { status, error, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8', cwd });
  if (status === 0) return stdout.trim();
  throw new Error(error ? `there is no ${command}` : stderr.trim().split('\n').at(-1));
}

/** Only what is needed: the whole package is 800 MB. */
const EXTRACT = `
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wanted = ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2', 'tensorflow/python/platform/build_info.py')
headers = ('/tensorflow/c/', 'ctstring', 'tsl_status')
names = [n for n in wheel.namelist() if n in wanted or n.endswith('dist-info/METADATA')
         or n.startswith('tensorflow/include/') and any(h in n for h in headers)]
wheel.extractall(sys.argv[2], names)
`;

function fetchTensorFlow() {
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'download-'));
  try {
    const platforms = ['manylinux_2_17_x86_64', 'manylinux2014_x86_64'].flatMap((name) => [
      '--platform',
      name,
    ]);
    const kind = ['--no-deps', '--only-binary=:all:', '--python-version', '311', '--implementation', 'cp'];
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', ...kind, ...platforms];
    run('python3', [...pip, '-d', work, WHEEL]);
    const wheel = readdirSync(work).find((name) => name.endsWith('.whl'));
    run('python3', ['-c', EXTRACT, join(work, wheel), join(work, 'wheel')]);
    const archive = run('npm', ['pack', '--silent', TFJS], work).split('\n').at(-1);
    run('tar', ['-xzf', archive], work);
    for (const name of ['wheel', 'package']) {
      rmSync(join(folder, name), { recursive: true, force: true });
      renameSync(join(work, name), join(folder, name));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('only for Linux on x86-64');
  const tensorflow = join(folder, 'wheel/tensorflow');
  if (!existsSync(join(folder, 'package')) || !existsSync(tensorflow)) fetchTensorFlow();
  if (!existsSync(join(folder, 'tfjs_binding.node')))
    prepareTensorFlow({ tensorflow, tfjs: join(folder, 'package'), out: folder });
  console.log(folder);
} catch (error) {
  console.error(`TensorFlow cannot be had: ${error.message}`);
  process.exitCode = 1;
}
