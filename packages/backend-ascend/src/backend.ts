import {
  allDTypes,
  type Backend,
  type Capabilities,
  type Kernel,
  type Kernels,
  type OpName,
  type OpSpecs,
  type Storage,
  sizeOf,
  type TensorInfo,
  type TensorView,
} from '@frugal/tensor-core';
import type { Libraries } from './abi/library.js';
import { Device, operandOf } from './device.js';
import { attentionKernels } from './kernels/attention.js';
import { binaryKernels } from './kernels/binary.js';
import { cachedAttentionKernels } from './kernels/cached-attention.js';
import { creationKernels } from './kernels/creation.js';
import type { Fused } from './kernels/family.js';
import { gateKernels } from './kernels/gate.js';
import { groupedKernels } from './kernels/grouped.js';
import { hostKernels } from './kernels/host.js';
import { indexingKernels } from './kernels/indexing.js';
import { layerKernels } from './kernels/layers.js';
import { matmulKernels } from './kernels/matmul.js';
import { movementKernels } from './kernels/movement.js';
import { mutationKernels } from './kernels/mutation.js';
import { normKernels } from './kernels/norm.js';
import { optimizerKernels } from './kernels/optimizer.js';
import { packedMatmulKernels } from './kernels/packed-matmul.js';
import { reduceKernels } from './kernels/reduce.js';
import { ropeKernels } from './kernels/rope.js';
import { routingKernels } from './kernels/routing.js';
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

/** Ops that core composes where this CANN or chip does not have them. */
const fusedFamilies = [
  normKernels,
  ropeKernels,
  gateKernels,
  attentionKernels,
  cachedAttentionKernels,
  groupedKernels,
  routingKernels,
  packedMatmulKernels,
  optimizerKernels,
];

/** Bytes of an upload that the host remembers: lengths and page tables, not weights. */
const REMEMBERED = 4096;

/** Chips whose CANN has none of the fused ops. */
const PLAIN_CHIPS = /^Ascend(310|910A|910B$|910Pro|910Premium)/;

/** Chips without bf16. */
const OLD_CHIPS = /^Ascend(310P|310B|910A|910B$|910Pro|910Premium)/;

/** aclnn ops of CANN, enqueued on one stream; only `read`, `synchronize` and the ops of the host wait. */
export class AscendBackend implements Backend {
  readonly name = 'ascend';
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly kernels: Kernels;
  /** @internal */
  readonly device: Device;
  private readonly fused: ReadonlyMap<OpName, Fused<OpName>>;
  private isClosed = false;

  /** @throws AscendUnavailableError, BackendError when the device cannot be used */
  constructor(libraries: Libraries, index: number) {
    this.device = new Device(libraries, index);
    const { soc, runtime } = this.device;
    this.description = `${soc}, device ${index}, ACL ${runtime.version()}`;
    const isOld = OLD_CHIPS.test(soc);
    this.capabilities = {
      strided: 'all',
      dtypes: new Set(allDTypes.filter((dtype) => dtype !== 'bf16' || !isOld)),
      preferred: isOld ? 'f16' : 'bf16',
      formats: new Set<string>(),
      subnormals: false,
      memory: 'device',
    };
    this.fused = PLAIN_CHIPS.test(soc) ? new Map() : fusedOps(this.device);
    this.kernels = framed(this.device, this.fused);
  }

  supports<N extends OpName>(op: N, inputs: readonly TensorInfo[], attributes: OpSpecs[N]): boolean {
    return this.fused.get(op)?.takes(inputs, attributes) ?? true;
  }

  /** @throws AscendMemoryError */
  allocate(byteLength: number): Storage {
    return new AscendStorage(this, byteLength, this.device.allocator.take(byteLength));
  }

  free(storage: Storage): void {
    this.device.masks.forget(storage);
    this.device.allocator.give((storage as AscendStorage).block);
  }

  upload(bytes: Uint8Array): Storage {
    const block = this.device.allocator.take(bytes.byteLength);
    this.device.upload(block.address, bytes);
    const remembered = bytes.byteLength <= REMEMBERED ? bytes.slice() : null;
    return new AscendStorage(this, bytes.byteLength, block, remembered);
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return this.readSync(view);
  }

  readSync(view: TensorView): Uint8Array {
    return this.device.download(operandOf(view));
  }

  async synchronize(): Promise<void> {
    this.device.synchronize();
  }

  /** Waits for the device. */
  trimMemory(): void {
    this.device.masks.clear();
    this.device.allocator.release();
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

/** Ops that FRUGAL_ASCEND_COMPOSE names (`attention,rope`, or `all`): where a fused kernel is in doubt. */
function composed(): (op: string) => boolean {
  const names = (process.env.FRUGAL_ASCEND_COMPOSE ?? '').split(',').map((name) => name.trim());
  return (op) => names.includes('all') || names.includes(op);
}

function fusedOps(device: Device): ReadonlyMap<OpName, Fused<OpName>> {
  const isComposed = composed();
  const entries = fusedFamilies.flatMap(
    (family) => Object.entries(family(device)) as [OpName, Fused<OpName>][],
  );
  return new Map(entries.filter(([op]) => !isComposed(op)));
}

function framed(device: Device, fused: ReadonlyMap<OpName, Fused<OpName>>): Kernels {
  const plain = families.flatMap((family) => Object.entries(family(device)) as [OpName, Kernel<OpName>][]);
  const all = [...plain, ...[...fused].map(([op, { run }]) => [op, run] as const)];
  return Object.fromEntries(
    all.map(([op, kernel]): [OpName, Kernel<OpName>] => [
      op,
      (inputs, outputs, attributes) => {
        // Ops that make nothing are done; those that change an input make no output.
        if (outputs.length > 0 && outputs.every(({ shape }) => sizeOf(shape) === 0)) return;
        device.frame(() => kernel(inputs, outputs, attributes));
      },
    ]),
  );
}
