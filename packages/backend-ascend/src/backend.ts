import {
  allDTypes,
  type Backend,
  type Capabilities,
  type Kernel,
  type Kernels,
  type OpName,
  type Storage,
  sizeOf,
  type TensorView,
} from '@frugal/tensor-core';
import type { Libraries } from './abi/library.js';
import { Device, operandOf } from './device.js';
import { binaryKernels } from './kernels/binary.js';
import { creationKernels } from './kernels/creation.js';
import { hostKernels } from './kernels/host.js';
import { indexingKernels } from './kernels/indexing.js';
import { layerKernels } from './kernels/layers.js';
import { matmulKernels } from './kernels/matmul.js';
import { movementKernels } from './kernels/movement.js';
import { mutationKernels } from './kernels/mutation.js';
import { reduceKernels } from './kernels/reduce.js';
import { unaryKernels } from './kernels/unary.js';
import { unpackKernels } from './kernels/unpack.js';
import { AscendStorage } from './storage.js';

const families = [
  creationKernels,
  unaryKernels,
  binaryKernels,
  reduceKernels,
  movementKernels,
  indexingKernels,
  mutationKernels,
  matmulKernels,
  layerKernels,
  unpackKernels,
  hostKernels,
];

/** Chips without bf16. */
const OLD_CHIPS = /^Ascend(310P|310B|910A|910B$|910Pro|910Premium)/;

/** aclnn ops of CANN, enqueued on one stream; only `read`, `synchronize` and the ops of the host wait. */
export class AscendBackend implements Backend {
  readonly name = 'ascend';
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly kernels: Kernels;
  private readonly device: Device;
  private isClosed = false;

  /** @throws AscendUnavailableError, BackendError when the device cannot be used */
  constructor(libraries: Libraries, index: number) {
    this.device = new Device(libraries, index);
    const { soc, runtime } = this.device;
    this.description = `${soc}, device ${index}, ACL ${runtime.version()}`;
    this.capabilities = {
      strided: 'all',
      dtypes: new Set(allDTypes.filter((dtype) => dtype !== 'bf16' || !OLD_CHIPS.test(soc))),
      formats: new Set<string>(),
      subnormals: false,
      memory: 'device',
    };
    this.kernels = framed(this.device);
  }

  /** @throws AscendMemoryError */
  allocate(byteLength: number): Storage {
    return new AscendStorage(this, byteLength, this.device.allocator.take(byteLength));
  }

  free(storage: Storage): void {
    this.device.allocator.give((storage as AscendStorage).block);
  }

  upload(bytes: Uint8Array): Storage {
    const block = this.device.allocator.take(bytes.byteLength);
    this.device.upload(block.address, bytes);
    return new AscendStorage(this, bytes.byteLength, block);
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return this.device.download(operandOf(view));
  }

  async synchronize(): Promise<void> {
    this.device.synchronize();
  }

  /** Bytes of the device in blocks that are in use, and taken from it in all. */
  get memory(): { readonly used: number; readonly reserved: number } {
    const { used, reserved } = this.device.allocator;
    return { used, reserved };
  }

  /** Gives the device back. Nothing of this backend may be used afterwards; again does nothing. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.device.close();
  }
}

function framed(device: Device): Kernels {
  const kernels: Record<string, Kernel<OpName>> = {};
  for (const family of families) {
    for (const [op, kernel] of Object.entries(family(device)) as [string, Kernel<OpName>][]) {
      kernels[op] = (inputs, outputs, attributes) => {
        // Ops that make nothing are done; those that change an input make no output.
        if (outputs.length > 0 && outputs.every(({ shape }) => sizeOf(shape) === 0)) return;
        device.frame(() => kernel(inputs, outputs, attributes));
      };
    }
  }
  return kernels as Kernels;
}
