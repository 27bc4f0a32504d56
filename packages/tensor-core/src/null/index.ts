import { type Backend, type Kernel, Storage } from '../backend.js';
import { allDTypes } from '../dtype.js';
import { BackendError } from '../errors.js';
import { packedFormatNames } from '../formats/index.js';
import type { OpName } from '../ops/specs.js';
import { referenceBackend } from '../reference/index.js';

class NullStorage extends Storage {}

function skip(): void {}

/** Every op of the reference backend, doing nothing. */
function emptyKernels(): { readonly [N in OpName]?: Kernel<N> } {
  return Object.fromEntries(Object.keys(referenceBackend().kernels).map((op) => [op, skip]));
}

class NullBackend implements Backend {
  readonly name = 'null';
  readonly description = 'shapes only, without values';
  readonly kernels = emptyKernels();
  readonly capabilities = {
    strided: 'all',
    dtypes: new Set(allDTypes),
    get formats() {
      return new Set(packedFormatNames());
    },
    memory: 'host',
  } as const;

  allocate(byteLength: number): Storage {
    return new NullStorage(this, byteLength);
  }

  free(): void {}

  upload(bytes: Uint8Array): Storage {
    return new NullStorage(this, bytes.byteLength);
  }

  async read(): Promise<Uint8Array> {
    throw new BackendError({
      where: 'null backend',
      what: 'its tensors have shapes but no values',
      hint: 'Use another backend to compute; this one is for planning and memory estimates.',
    });
  }

  async synchronize(): Promise<void> {}
}

let instance: Backend | null = null;

/**
 * Shapes without values: runs a model in no time and no memory, while `memoryUsage()` counts what it would take.
 * Reading a tensor throws BackendError.
 */
export function nullBackend(): Backend {
  instance ??= new NullBackend();
  return instance;
}
