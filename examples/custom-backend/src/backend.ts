import {
  allDTypes,
  type Backend,
  type Capabilities,
  type Kernels,
  type Storage,
  type TensorView,
} from '@frugal/tensor-core';
import { Heap } from './heap.js';
import { binaryKernels } from './kernels/binary.js';
import { creationKernels } from './kernels/creation.js';
import { indexingKernels } from './kernels/indexing.js';
import { linalgKernels } from './kernels/linalg.js';
import type { Machine } from './kernels/machine.js';
import { matmulKernels } from './kernels/matmul.js';
import { movementKernels } from './kernels/movement.js';
import { mutationKernels } from './kernels/mutation.js';
import { packedKernels } from './kernels/packed.js';
import { reduceKernels } from './kernels/reduce.js';
import { unaryKernels } from './kernels/unary.js';
import { loadProgram } from './program.js';
import { WasmStorage } from './storage.js';
import { gather } from './views.js';

function kernelsOf(machine: Machine): Kernels {
  return {
    ...creationKernels(machine),
    ...unaryKernels(machine),
    ...binaryKernels(machine),
    ...reduceKernels(machine),
    ...movementKernels(machine),
    ...indexingKernels(machine),
    ...mutationKernels(machine),
    ...matmulKernels(machine),
    ...linalgKernels(machine),
    ...packedKernels(machine),
  };
}

/** Tensors in the memory of a WebAssembly module, one thread. Made by {@link openWasmBackend}. */
export class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly description = 'WebAssembly with vectors of 128 bits, one thread';
  readonly kernels: Kernels;
  readonly capabilities: Capabilities = {
    strided: new Set(['copy']),
    dtypes: new Set(allDTypes),
    formats: new Set(),
    // The garbage collector does not see this memory: only scopes and dispose() give it back.
    memory: 'device',
  };
  private readonly heap: Heap;

  constructor(machine: Machine) {
    this.heap = machine.heap;
    this.kernels = kernelsOf(machine);
  }

  /** Bytes of the module's memory that tensors hold. */
  get usedBytes(): number {
    return this.heap.usedBytes;
  }

  allocate(byteLength: number): WasmStorage {
    return new WasmStorage(this, byteLength, this.heap, this.heap.allocate(byteLength));
  }

  free(storage: Storage): void {
    this.heap.free((storage as WasmStorage).address, storage.byteLength);
  }

  upload(bytes: Uint8Array): Storage {
    const storage = this.allocate(bytes.byteLength);
    new Uint8Array(this.heap.memory.buffer).set(bytes, storage.address);
    return storage;
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return this.readSync(view);
  }

  readSync(view: TensorView): Uint8Array {
    return new Uint8Array(gather(view).buffer);
  }

  /** Kernels are done when they return. */
  async synchronize(): Promise<void> {}
}

export interface WasmBackendOptions {
  /** How far the memory may grow, in bytes; default: nearly 4 GiB, as far as WebAssembly goes. */
  readonly memoryLimit?: number | undefined;
}

/** A backend with memory of its own. */
export async function openWasmBackend({ memoryLimit }: WasmBackendOptions = {}): Promise<WasmBackend> {
  const heap = new Heap(memoryLimit);
  return new WasmBackend({ heap, program: await loadProgram(heap.memory) });
}
