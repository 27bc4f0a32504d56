import { createRequire } from 'node:module';
import { CudaBackend, type CudaBackendOptions } from './backend.js';
import type { Binding } from './binding.js';
import { factsOfCapability, oldestCapability } from './capability.js';
import { CudaBackendUnavailableError } from './errors.js';
import { findGpus, type Gpu } from './gpu.js';
import { bindingPlaces, type Located, locateBinding } from './locate.js';

export interface CudaOptions {
  /** Run on the processor where TensorFlow finds no GPU, for tests. Default: `FRUGAL_CUDA_ALLOW_CPU=1`. */
  readonly allowCpu?: boolean | undefined;
}

const OLDEST_VERSION = [2, 18] as const;

const INSTALL =
  'Run `pip install "tensorflow[and-cuda]==2.18.1"` and `npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0`, ' +
  'then `frugal doctor --fix cuda`.';

function unavailable(what: string, hint: string, got?: string, cause?: unknown): CudaBackendUnavailableError {
  return new CudaBackendUnavailableError({ where: 'cuda backend', what, got, hint, cause });
}

export interface Loaded extends Located {
  readonly native: Binding;
}

let loaded: Loaded | null = null;

/** Loads TensorFlow once per process. @throws CudaBackendUnavailableError */
export function loadBinding(): Loaded {
  if (loaded) return loaded;
  const located = locateBinding();
  if (!located)
    throw unavailable('TensorFlow is not prepared', INSTALL, `nothing at ${bindingPlaces().join(', ')}`);
  // Without these TensorFlow takes all memory of the device, rounds f32 products to 10 bits, and writes to stderr.
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  let native: Binding;
  try {
    native = createRequire(import.meta.url)(located.binding) as Binding;
  } catch (cause) {
    throw unavailable(
      'TensorFlow cannot be loaded',
      'If its Python package was moved or updated, run `frugal doctor --fix cuda` again.',
      (cause as Error).message,
      cause,
    );
  }
  if (typeof native.TF_Version !== 'string' || typeof native.executeOp !== 'function')
    throw unavailable('this is not the binding of tfjs-node-gpu 4.22', INSTALL, located.binding);
  if (!isNewEnough(native.TF_Version)) {
    const expected = `${OLDEST_VERSION.join('.')} or newer`;
    const details = {
      where: 'cuda backend',
      what: 'TensorFlow is too old',
      got: native.TF_Version,
      expected,
    };
    throw new CudaBackendUnavailableError({ ...details, hint: INSTALL });
  }
  loaded = { ...located, native };
  return loaded;
}

/** Whether this package was tried with a version of TensorFlow: 2.18 or newer. */
export function isNewEnough(version: string): boolean {
  const [major, minor] = version.split('.').map(Number);
  return major > OLDEST_VERSION[0] || (major === OLDEST_VERSION[0] && minor >= OLDEST_VERSION[1]);
}

let backend: CudaBackend | null = null;

/**
 * The backend over TensorFlow; always the same one. TensorFlow falls back to the processor silently; this function does
 * not, unless `allowCpu` is set.
 * @throws CudaBackendUnavailableError with the reason and what to run
 */
export function cudaBackend({
  allowCpu = process.env.FRUGAL_CUDA_ALLOW_CPU === '1',
}: CudaOptions = {}): CudaBackend {
  const { native, prepared } = loadBinding();
  const usesGpu = native.isUsingGpuDevice();
  if (!usesGpu && !allowCpu) throw refuseCpu(prepared?.cuda);
  backend ??= new CudaBackend(native, usesGpu ? describeGpu(native) : describeCpu(native));
  return backend;
}

/** {@link cudaBackend} for callers that load backends asynchronously. */
export async function loadCudaBackend(options: CudaOptions = {}): Promise<CudaBackend> {
  return cudaBackend(options);
}

function refuseCpu(cuda: string | null | undefined): CudaBackendUnavailableError {
  const { gpus, why } = findGpus();
  const what = 'TensorFlow would compute on the processor';
  if (gpus.length === 0) return unavailable(what, 'Use the cpu backend, which is faster than that.', why);
  if (cuda === null)
    return unavailable(what, INSTALL, `${gpus[0].name}, but a TensorFlow that was built without CUDA`);
  return unavailable(
    what,
    'Run with TF_CPP_MIN_LOG_LEVEL=0 to see which CUDA library is missing; `pip install "tensorflow[and-cuda]==2.18.1"` brings them.',
    `${gpus[0].name} with driver ${gpus[0].driver}, and CUDA ${cuda ?? 'unknown'} wanted`,
  );
}

function describeCpu({ TF_Version }: Binding): CudaBackendOptions {
  return { description: `cuda: no GPU, TensorFlow ${TF_Version} on the processor` };
}

/** @throws CudaBackendUnavailableError for a GPU that TensorFlow has no kernels for */
function describeGpu({ TF_Version }: Binding): CudaBackendOptions {
  // TensorFlow numbers GPUs as the driver does, after CUDA_VISIBLE_DEVICES.
  const visible = process.env.CUDA_VISIBLE_DEVICES?.split(',')[0];
  const { gpus } = findGpus();
  const gpu: Gpu | undefined = gpus[Number(visible ?? 0)] ?? gpus[0];
  if (!gpu) return { description: `cuda: TensorFlow ${TF_Version}` };
  const facts = factsOfCapability(gpu.capability);
  if (!facts && gpu.capability < oldestCapability) {
    const hint = 'Use the cpu backend.';
    throw unavailable('this GPU is too old', hint, `${gpu.name}, compute capability ${gpu.capability}`);
  }
  return {
    description: `cuda: ${gpu.name}, driver ${gpu.driver}, TensorFlow ${TF_Version}`,
    dtypes: facts?.dtypes,
    preferred: facts?.preferred,
  };
}
