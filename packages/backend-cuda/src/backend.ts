import {
  allDTypes,
  type Backend,
  type Capabilities,
  type DType,
  type FloatDType,
  type Kernel,
  type Kernels,
  type OpName,
  type Storage,
  type TensorView,
} from '@frugal/tensor-core';
import { packedFormatNames } from '@frugal/tensor-core/formats';
import type { Binding } from './binding.js';
import { Device } from './device.js';
import { unpackerOf } from './formats/index.js';
import { binaryKernels } from './kernels/binary.js';
import { creationKernels } from './kernels/creation.js';
import { indexingKernels } from './kernels/indexing.js';
import { linalgKernels } from './kernels/linalg.js';
import { matmulKernels } from './kernels/matmul.js';
import { movementKernels } from './kernels/movement.js';
import { mutationKernels } from './kernels/mutation.js';
import { packedKernels } from './kernels/packed.js';
import { reduceKernels } from './kernels/reduce.js';
import { softmaxKernels } from './kernels/softmax.js';
import { unaryKernels } from './kernels/unary.js';
import { CudaStorage } from './storage.js';
import { toHost } from './transfer.js';
import { read, release } from './views.js';

const families = [
  creationKernels,
  unaryKernels,
  binaryKernels,
  reduceKernels,
  movementKernels,
  indexingKernels,
  mutationKernels,
  matmulKernels,
  linalgKernels,
  softmaxKernels,
  packedKernels,
];

/** What {@link CudaBackend} is told about where it runs. */
export interface CudaBackendOptions {
  readonly description: string;
  /** Dtypes that the device computes with. Default: all. */
  readonly dtypes?: readonly DType[] | undefined;
  /** What products are best made in. Default: f32. */
  readonly preferred?: FloatDType | undefined;
}

/** Kernels of TensorFlow, called one by one. On a GPU they are enqueued; only `read` and `synchronize` wait. */
export class CudaBackend implements Backend {
  readonly name = 'cuda';
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly kernels: Kernels;
  private readonly device: Device;

  constructor(binding: Binding, { description, dtypes = allDTypes, preferred }: CudaBackendOptions) {
    this.device = new Device(binding);
    this.description = description;
    this.capabilities = {
      strided: 'all',
      dtypes: new Set(dtypes),
      preferred,
      get formats() {
        return new Set(packedFormatNames().filter(unpackerOf));
      },
      subnormals: false,
      memory: 'device',
    };
    this.kernels = framed(this.device);
  }

  /** No memory yet: a kernel brings it with the first value. */
  allocate(byteLength: number): Storage {
    return new CudaStorage(this, byteLength);
  }

  free(storage: Storage): void {
    release(this.device, storage as CudaStorage);
  }

  upload(bytes: Uint8Array): Storage {
    const storage = new CudaStorage(this, bytes.byteLength);
    storage.bytes = bytes.slice();
    return storage;
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return this.readSync(view);
  }

  readSync(view: TensorView): Uint8Array {
    const { device } = this;
    return device.frame(() => toHost(device, read(device, view), view.dtype));
  }

  async synchronize(): Promise<void> {
    const { device } = this;
    // Work of one stream is done in order: what was enqueued last is done last.
    device.frame(() => void device.download(device.run('Neg', [device.scalar(0, 'f32')])));
  }

  /** Live handles of TensorFlow, constants included: for tests of leaks. */
  get handles(): number {
    return this.device.binding.getNumOfTensors();
  }
}

function framed(device: Device): Kernels {
  const kernels: Record<string, Kernel<OpName>> = {};
  for (const family of families) {
    for (const [op, kernel] of Object.entries(family(device)) as [string, Kernel<OpName>][]) {
      kernels[op] = (inputs, outputs, attributes) => device.frame(() => kernel(inputs, outputs, attributes));
    }
  }
  return kernels as Kernels;
}
