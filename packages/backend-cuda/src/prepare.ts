import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { CudaBackendUnavailableError } from './errors.js';
import { BINDING, findTfjs, PREPARED, type Prepared, preparedFolder } from './locate.js';

export interface PrepareOptions {
  /** Folder of the Python package `tensorflow`. Default: that of `FRUGAL_PYTHON` or python3. */
  readonly tensorflow?: string | undefined;
  /** Folder of `@tensorflow/tfjs-node-gpu`. Default: where Node finds it. */
  readonly tfjs?: string | undefined;
  /** Where the binding goes. Default: {@link preparedFolder}. */
  readonly out?: string | undefined;
}

function fail(what: string, hint: string, got?: string): CudaBackendUnavailableError {
  return new CudaBackendUnavailableError({ where: 'prepareTensorFlow', what, got, hint });
}

/**
 * Compiles the binding of `@tensorflow/tfjs-node-gpu`, whose own download often fails, against the TensorFlow of an
 * installed Python package, with the C++ compiler alone: a few seconds. Nothing is copied; the package must stay where it is.
 * @throws CudaBackendUnavailableError with what is missing
 */
export function prepareTensorFlow(options: PrepareOptions = {}): Prepared & { readonly binding: string } {
  const folder = options.tensorflow ?? findTensorFlow();
  for (const file of [
    'libtensorflow_cc.so.2',
    'libtensorflow_framework.so.2',
    'include/tensorflow/c/eager/c_api.h',
  ]) {
    if (!existsSync(join(folder, file)))
      throw fail(
        'the Python package of TensorFlow is incomplete',
        'Install tensorflow 2.18 for Linux.',
        join(folder, file),
      );
  }
  const tfjs = options.tfjs ?? findTfjs();
  if (!tfjs)
    throw fail(
      '@tensorflow/tfjs-node-gpu is missing',
      'Run `npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0`.',
    );
  const out = options.out ?? preparedFolder();
  mkdirSync(out, { recursive: true });
  const binding = join(out, BINDING);
  compile(tfjs, folder, binding);
  const { version } = JSON.parse(readFileSync(join(tfjs, 'package.json'), 'utf8')) as { version: string };
  const prepared = { tensorflow: versionOf(folder), folder, ...buildInfo(folder), tfjs: version };
  writeFileSync(join(out, PREPARED), `${JSON.stringify(prepared, null, 2)}\n`);
  return { ...prepared, binding };
}

function findTensorFlow(): string {
  const python = process.env.FRUGAL_PYTHON || 'python3';
  const script = 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])';
  const { status, stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  if (status === 0 && stdout.trim()) return stdout.trim();
  const hint =
    'Run `pip install "tensorflow[and-cuda]==2.18.1"`, or set FRUGAL_PYTHON to a Python that has it.';
  throw fail('there is no Python package of TensorFlow', hint, python);
}

function compile(tfjs: string, tensorflow: string, binding: string): void {
  const compiler = process.env.CXX || 'g++';
  const nodeApi = join(
    dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')),
    'include',
  );
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(tfjs, 'binding', file));
  const made = `${binding}.${process.pid}`;
  const { status, stderr, error } = spawnSync(
    compiler,
    [
      ...['-O2', '-std=c++17', '-shared', '-fPIC', '-w', '-DNAPI_VERSION=8'],
      ...[nodeApi, join(tensorflow, 'include')].map((path) => `-I${path}`),
      ...sources,
      ...[`-L${tensorflow}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      // By the folder itself, not by links: the library looks for CUDA beside itself.
      ...[`-Wl,-rpath,${tensorflow}`, '-o', made],
    ],
    { encoding: 'utf8' },
  );
  if (status === 0) {
    renameSync(made, binding);
    return;
  }
  rmSync(made, { force: true });
  if (error) throw fail('there is no C++ compiler', 'Install g++, or set CXX.', compiler);
  throw fail(
    'the binding does not compile',
    'Use tensorflow 2.18 and tfjs-node-gpu 4.22.0.',
    stderr.trim().slice(0, 1000),
  );
}

/** From the folder of metadata beside the package. */
function versionOf(tensorflow: string): string {
  const names = readdirSync(dirname(tensorflow));
  for (const name of names) {
    const match = /^(?:tensorflow|tensorflow_cpu)-(\d[\w.]*)\.dist-info$/.exec(name);
    if (match) return match[1];
  }
  return 'unknown';
}

/** CUDA and cuDNN versions that the package says it was built with; null for a build without, `unknown` when it does not say. */
export function buildInfo(tensorflow: string): Pick<Prepared, 'cuda' | 'cudnn'> {
  const file = join(tensorflow, 'python/platform/build_info.py');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (/['"]is_cuda_build['"]\s*[:,]\s*False/.test(text)) return { cuda: null, cudnn: null };
  const numberOf = (key: string) =>
    new RegExp(`['"]${key}['"]\\s*[:,]\\s*['"]([\\w.]+)['"]`).exec(text)?.[1] ?? 'unknown';
  return { cuda: numberOf('cuda_version'), cudnn: numberOf('cudnn_version') };
}
