import type { Backend, Kernel, Storage, TensorView } from '../backend.js';
import { allDTypes } from '../dtype.js';
import { BackendError } from '../errors.js';
import { packedFormatNames } from '../formats/index.js';
import type { LayoutOp, OpName, ViewOp } from '../ops/specs.js';
import { activationKernels } from './activation.js';
import { attentionKernels } from './attention.js';
import { binaryKernels } from './binary.js';
import { creationKernels } from './creation.js';
import { groupedKernels } from './grouped.js';
import { indexingKernels, mutationKernels } from './indexing.js';
import { linalgKernels } from './linalg.js';
import { linearKernels } from './linear.js';
import { lossKernels } from './loss.js';
import { matmulKernels } from './matmul.js';
import { movementKernels } from './movement.js';
import { normKernels } from './norm.js';
import { optimizerKernels } from './optimizer.js';
import { packedKernels } from './packed.js';
import { quantizedOptimizerKernels } from './quantized-optimizer.js';
import { reduceKernels } from './reduce.js';
import { ropeKernels } from './rope.js';
import { samplingKernels } from './sampling.js';
import { softmaxKernels } from './softmax.js';
import { HostStorage } from './storage.js';
import { unaryKernels } from './unary.js';
import { readRaw } from './values.js';

export { HostStorage } from './storage.js';

/** A kernel for every op that is not a view or about layouts of other backends. TypeScript checks that the table is complete. */
const kernels: { readonly [N in Exclude<OpName, ViewOp | LayoutOp>]: Kernel<N> } = {
  ...creationKernels,
  ...unaryKernels,
  ...binaryKernels,
  ...reduceKernels,
  ...movementKernels,
  ...indexingKernels,
  ...mutationKernels,
  ...matmulKernels,
  ...linearKernels,
  ...linalgKernels,
  ...softmaxKernels,
  ...samplingKernels,
  ...activationKernels,
  ...normKernels,
  ...ropeKernels,
  ...attentionKernels,
  ...lossKernels,
  ...optimizerKernels,
  ...quantizedOptimizerKernels,
  ...packedKernels,
  ...groupedKernels,
};

function copyBytes(view: TensorView): Uint8Array {
  const { buffer } = readRaw(view).slice();
  return new Uint8Array(buffer as ArrayBuffer);
}

class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly description = 'pure TypeScript, one thread';
  readonly kernels = kernels;
  readonly capabilities = {
    strided: 'all',
    dtypes: new Set(allDTypes),
    get formats() {
      return new Set(packedFormatNames());
    },
    memory: 'host',
  } as const;

  allocate(byteLength: number): Storage {
    try {
      return new HostStorage(this, new ArrayBuffer(byteLength));
    } catch (cause) {
      throw new BackendError({
        where: 'reference backend',
        what: 'out of memory',
        got: `${byteLength} bytes`,
        cause,
      });
    }
  }

  /** The garbage collector does it. */
  free(): void {}

  upload(bytes: Uint8Array): Storage {
    return new HostStorage(this, new Uint8Array(bytes).buffer);
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return copyBytes(view);
  }

  readSync(view: TensorView): Uint8Array {
    return copyBytes(view);
  }

  async synchronize(): Promise<void> {}
}

let instance: Backend | null = null;

/**
 * The definition of every op, in plain loops: sums in f64, rounded once. Runs everywhere, browsers too; hundreds of
 * times slower than native code.
 */
export function referenceBackend(): Backend {
  instance ??= new ReferenceBackend();
  return instance;
}
