import { contiguousStrides, isContiguous, type Shape, sizeOf, type TensorView } from '@frugal/tensor-core';
import type { Libraries } from './abi/library.js';
import { type Arguments, type OperationName, Operations } from './abi/operations.js';
import { Runtime } from './abi/runtime.js';
import { type AclType, type Address, type Operand, type Scalar, widthOf } from './abi/types.js';
import { Allocator, type Block } from './allocator.js';
import { MaskCache } from './mask-cache.js';
import type { AscendStorage } from './storage.js';

/** One NPU: its context, one stream, its memory. Belongs to the thread that made it. */
export class Device {
  readonly runtime: Runtime;
  readonly allocator: Allocator;
  readonly masks: MaskCache;
  readonly soc: string;
  readonly stream: Address;
  private readonly operations: Operations;
  private temporaries: Block[] = [];

  /** @throws AscendUnavailableError */
  constructor(
    libraries: Libraries,
    /** Of those that ASCEND_RT_VISIBLE_DEVICES leaves. */
    readonly index: number,
  ) {
    this.runtime = new Runtime(libraries);
    this.runtime.initialize();
    this.runtime.deviceCount(); // says why there is none
    this.runtime.setDevice(index);
    this.soc = this.runtime.soc();
    this.stream = this.runtime.createStream();
    this.allocator = new Allocator(this.runtime, this.stream);
    this.masks = new MaskCache(this.allocator);
    this.operations = new Operations(libraries, this.runtime, this.allocator, this.stream);
  }

  /** Gives everything back, in the order that CANN wants. */
  close(): void {
    this.masks.clear();
    this.allocator.release();
    this.runtime.destroyStream(this.stream);
    this.runtime.resetDevice(this.index);
    this.runtime.finalize();
  }

  has(name: OperationName): boolean {
    return this.operations.has(name);
  }

  /** The first of some versions of an op that this CANN has: the best comes first. */
  first<N extends OperationName>(...names: readonly N[]): N | null {
    return names.find((name) => this.has(name)) ?? null;
  }

  run<N extends OperationName>(name: N, ...inputs: Arguments<N>): void {
    this.operations.run(name, ...inputs);
  }

  /** Runs `work`; the memory of {@link scratch} inside is free for others afterwards. */
  frame<T>(work: () => T): T {
    const outer = this.temporaries;
    this.temporaries = [];
    try {
      return work();
    } finally {
      for (const block of this.temporaries) this.allocator.give(block);
      this.temporaries = outer;
    }
  }

  /** A contiguous tensor that lives until the end of the frame. */
  scratch(shape: Shape, type: AclType): Operand {
    const block = this.allocator.take(sizeOf(shape) * widthOf(type));
    this.temporaries.push(block);
    return {
      address: block.address,
      type,
      shape,
      strides: contiguousStrides(shape),
      offset: 0,
      storage: sizeOf(shape),
    };
  }

  /** A tensor of one number, without axes unless `shape` says so. */
  constant(number: number, type: AclType = 'f32', shape: Shape = []): Operand {
    const made = this.scratch(shape, type);
    this.fill(made, number);
    return made;
  }

  /** The same elements in row-major order: `operand` itself where they are. */
  contiguous(operand: Operand): Operand {
    if (isContiguous(operand.shape, operand.strides)) return operand;
    const plain = this.scratch(operand.shape, operand.type);
    this.copy(plain, operand);
    return plain;
  }

  /** The same elements as another type: `operand` itself where it has that one. */
  cast(operand: Operand, type: AclType): Operand {
    if (operand.type === type) return operand;
    const result = this.scratch(operand.shape, type);
    this.run('Cast', operand, type, result);
    return result;
  }

  fill(operand: Operand, number: number): void {
    if (sizeOf(operand.shape) > 0) this.run('InplaceFillScalar', operand, scalarFor(operand.type, number));
  }

  /** Copies, converts and repeats `from` into `to`, whatever their strides. */
  copy(to: Operand, from: Operand): void {
    if (sizeOf(to.shape) > 0) this.run('InplaceCopy', to, from);
  }

  upload(to: Address, bytes: Uint8Array): void {
    if (bytes.byteLength > 0) this.runtime.upload(to, bytes, this.stream);
  }

  /** The elements in row-major order. Waits for them. */
  download(operand: Operand): Uint8Array {
    const bytes = new Uint8Array(sizeOf(operand.shape) * widthOf(operand.type));
    if (bytes.byteLength === 0) return bytes;
    this.frame(() => {
      const plain = this.contiguous(operand);
      this.synchronize();
      this.runtime.download(bytes, plain.address + BigInt(plain.offset * widthOf(plain.type)));
    });
    return bytes;
  }

  synchronize(): void {
    this.runtime.synchronize(this.stream);
  }
}

/** A number as an op takes it beside tensors of this type. */
export function scalarFor(type: AclType, number: number): Scalar {
  const isWhole = type !== 'f32' && type !== 'bf16' && type !== 'f16' && type !== 'f64';
  return isWhole ? { number: Math.trunc(number), type: 'i64' } : { number, type: 'f64' };
}

/** A view of core as ops get it. */
export function operandOf(view: TensorView): Operand {
  const { block, byteLength } = view.storage as AscendStorage;
  return {
    address: block.address,
    type: view.dtype,
    shape: view.shape,
    strides: view.strides,
    offset: view.offset,
    storage: Math.floor(byteLength / widthOf(view.dtype)),
  };
}

/** Truth values as the bytes 0 and 1, for ops that take no bool. */
export function asNumbers(operand: Operand): Operand {
  return operand.type === 'bool' ? { ...operand, type: 'u8' } : operand;
}

/** The same memory with other axes. */
export function viewOf(operand: Operand, shape: Shape, strides: readonly number[]): Operand {
  return { ...operand, shape, strides };
}

/** The same with one more axis of length 1 in front. */
export function asBatch(operand: Operand): Operand {
  const { shape, strides } = operand;
  return viewOf(operand, [1, ...shape], [shape.length > 0 ? shape[0] * strides[0] : 1, ...strides]);
}

/** `sizes` elements from `starts` on. */
export function partOf(operand: Operand, starts: readonly number[], sizes: readonly number[]): Operand {
  const offset = starts.reduce((sum, start, axis) => sum + start * operand.strides[axis], operand.offset);
  return { ...operand, shape: sizes, offset };
}
