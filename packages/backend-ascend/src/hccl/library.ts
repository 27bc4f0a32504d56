import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { DType } from '@frugal/tensor-core';
import type { Address } from '../abi/types.js';
import { AscendDeviceError, AscendUnavailableError } from '../errors.js';
import type { Installation } from '../installation.js';

/** Bytes of `HcclRootInfo`. */
export const ROOT_INFO_BYTES = 4108;

/** `HcclDataType`, which is not `aclDataType`. */
const types: Readonly<Record<DType, number>> = { i8: 0, i32: 2, f16: 3, f32: 4, u8: 7, bool: 7, bf16: 11 };
/** `HcclReduceOp`. */
const SUM = 0;

const declarations = {
  HcclGetRootInfo: ['void *'],
  HcclCommInitRootInfo: ['uint32_t', 'void *', 'uint32_t', 'void *'],
  HcclAllReduce: ['void *', 'void *', 'uint64_t', 'int', 'int', 'void *', 'void *'],
  HcclBroadcast: ['void *', 'uint64_t', 'int', 'uint32_t', 'void *', 'void *'],
  HcclAllGather: ['void *', 'void *', 'uint64_t', 'int', 'void *', 'void *'],
  HcclAlltoAllV: [
    ...(['void *', 'void *', 'void *', 'int'] as const),
    ...(['void *', 'void *', 'void *', 'int'] as const),
    ...(['void *', 'void *'] as const),
  ],
  HcclCommDestroy: ['void *'],
  HcclGetCommAsyncError: ['void *', 'void *'],
} as const;
type HcclFunction = keyof typeof declarations;

/** Where elements begin, how many there are, and of which dtype. */
export interface Elements {
  readonly address: Address;
  readonly count: number;
  readonly dtype: DType;
}

/** libhccl: one communicator of all ranks, whose work is enqueued on one stream. Statuses become errors. */
export class Communicator {
  private handle: Address = 0n;

  private constructor(
    private readonly functions: Readonly<Record<HcclFunction, (...inputs: unknown[]) => number>>,
    private readonly explain: (status: number) => string,
    private readonly stream: Address,
  ) {}

  /** @throws AscendUnavailableError when CANN's folder has no libhccl */
  static load({ libraries }: Installation, stream: Address): Communicator {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const file = join(libraries, 'libhccl.so');
    try {
      const library = koffi.load(file, { lazy: true, global: true });
      const entries = Object.entries(declarations).map(([name, parameters]) => [
        name,
        library.func(name, 'int', [...parameters]),
      ]);
      const explain = library.func('HcclGetErrorString', 'const char *', ['int']);
      return new Communicator(Object.fromEntries(entries), explain, stream);
    } catch (cause) {
      throw new AscendUnavailableError({
        where: 'hccl',
        what: `${file} cannot be used`,
        got: (cause as Error).message,
        hint: 'Install the CANN toolkit with HCCL, or train over MPI alone.',
        cause,
      });
    }
  }

  /** What the first rank gives the others, so that they find it. */
  rootInfo(): Uint8Array {
    const bytes = new Uint8Array(ROOT_INFO_BYTES);
    this.call('HcclGetRootInfo', '', bytes);
    return bytes;
  }

  /** Returns when all ranks have called it. */
  join(rootInfo: Uint8Array, rank: number, size: number): void {
    const made = new BigUint64Array(1);
    this.call('HcclCommInitRootInfo', `rank ${rank} of ${size}`, size, rootInfo, rank, made);
    this.handle = made[0];
  }

  allReduce(from: Elements, to: Elements): void {
    const { address, count, dtype } = from;
    this.enqueue('HcclAllReduce', from, address, to.address, count, types[dtype], SUM);
  }

  broadcast(elements: Elements, root: number): void {
    const { address, count, dtype } = elements;
    this.enqueue('HcclBroadcast', elements, address, count, types[dtype], root);
  }

  allGather(from: Elements, to: Elements): void {
    const { address, count, dtype } = from;
    this.enqueue('HcclAllGather', from, address, to.address, count, types[dtype]);
  }

  /** Counts are elements to, and from, each rank, which lie one after the other. */
  allToAll(from: Elements, sent: readonly number[], to: Elements, got: readonly number[]): void {
    const [type, [counts, starts], [gotCounts, gotStarts]] = [types[from.dtype], places(sent), places(got)];
    const sending = [from.address, counts, starts, type];
    this.enqueue('HcclAlltoAllV', from, ...sending, to.address, gotCounts, gotStarts, type);
  }

  /** @throws AscendDeviceError when a rank or the network failed since the last time */
  check(): void {
    const status = new Int32Array(1);
    this.call('HcclGetCommAsyncError', '', this.handle, status);
    if (status[0] !== 0) throw this.failure('HcclGetCommAsyncError', status[0], '');
  }

  close(): void {
    this.call('HcclCommDestroy', '', this.handle);
  }

  private enqueue(name: HcclFunction, { count, dtype }: Elements, ...inputs: unknown[]): void {
    this.call(name, `${count} × ${dtype}`, ...inputs, this.handle, this.stream);
  }

  private call(name: HcclFunction, got: string, ...inputs: unknown[]): void {
    const status = this.functions[name](...inputs);
    if (status !== 0) throw this.failure(name, status, got);
  }

  private failure(where: string, status: number, got: string): AscendDeviceError {
    return new AscendDeviceError({
      where: `hccl, ${where}`,
      what: 'the ranks cannot reach one another, or one of them failed',
      got: `${got ? `${got}; ` : ''}status ${status}: ${this.explain(status)}`,
      hint: 'Are all ranks running, each with a device of its own, and of one CANN version? Start them again and resume from the last checkpoint.',
    });
  }
}

/** Counts, and where each begins. */
function places(counts: readonly number[]): readonly [BigUint64Array, BigUint64Array] {
  let next = 0;
  const starts = counts.map((count) => {
    next += count;
    return next - count;
  });
  return [BigUint64Array.from(counts, BigInt), BigUint64Array.from(starts, BigInt)];
}
