import type { Runtime } from './abi/runtime.js';
import type { Address } from './abi/types.js';
import { AscendMemoryError } from './errors.js';
import { lowerMemory } from './failures.js';

/** A piece of device memory. */
export interface Block {
  readonly address: Address;
  readonly byteLength: number;
}

const SMALLEST = 512;

/** Sizes of blocks: eight between a power of two and the next, so that at most an eighth is wasted. */
export function sizeClass(byteLength: number): number {
  if (byteLength <= SMALLEST) return SMALLEST;
  const step = Math.max(SMALLEST, 2 ** (Math.ceil(Math.log2(byteLength)) - 4));
  return Math.ceil(byteLength / step) * step;
}

/**
 * Keeps freed blocks and gives them out again at once: all work is enqueued on one stream, so whatever uses a block next
 * runs after all that used it before. Only what goes back to the device has to wait for the stream.
 */
export class Allocator {
  private readonly kept = new Map<number, Block[]>();
  /** Bytes given out. */
  used = 0;
  /** Bytes taken from the device. */
  reserved = 0;
  /** Gives back what can be made again, when the device has no room. */
  spare: () => void = () => {};

  constructor(
    private readonly runtime: Runtime,
    private readonly stream: Address,
  ) {}

  /** @throws AscendMemoryError with sizes; nothing is lost */
  take(byteLength: number): Block {
    const size = sizeClass(byteLength);
    const block = this.kept.get(size)?.pop() ?? this.reserve(size);
    this.used += size;
    return block;
  }

  give(block: Block): void {
    this.used -= block.byteLength;
    const others = this.kept.get(block.byteLength);
    if (others) others.push(block);
    else this.kept.set(block.byteLength, [block]);
  }

  private reserve(size: number): Block {
    let address = this.runtime.allocate(size);
    if (address === null) {
      this.spare();
      this.release();
      address = this.runtime.allocate(size);
    }
    if (address === null) throw this.full(size);
    this.reserved += size;
    return { address, byteLength: size };
  }

  /** Gives all kept blocks back to the device. Waits for the stream. */
  release(): void {
    this.runtime.synchronize(this.stream);
    for (const [size, blocks] of this.kept) {
      for (const { address } of blocks) this.runtime.free(address);
      this.reserved -= size * blocks.length;
    }
    this.kept.clear();
  }

  private full(size: number): AscendMemoryError {
    const { free, total } = this.runtime.memory();
    return new AscendMemoryError({
      where: 'ascend backend',
      what: 'the memory of the device is used up',
      got: `no room for ${size} bytes; ${this.used} bytes are in use here, ${free} of ${total} are free`,
      hint: lowerMemory,
    });
  }
}
