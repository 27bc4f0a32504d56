import { BackendError } from '@frugal/tensor-core';

const PAGE = 65_536;
/** Vectors have 16 bytes: every block begins at a multiple of it. */
const ALIGNMENT = 16;
/** One page less than 4 GiB, so that no address beyond the end of a block overflows 32 bits. */
const MOST_BYTES = 2 ** 32 - PAGE;

interface Block {
  start: number;
  size: number;
}

/** Blocks of the linear memory of a WebAssembly module. Nothing here is collected: what is allocated must be freed. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  /** Sorted by address; neighbours are merged. */
  private readonly gaps: Block[] = [];
  private used = 0;

  constructor(private readonly limit = MOST_BYTES) {
    const maximum = Math.max(1, Math.floor(Math.min(limit, MOST_BYTES) / PAGE));
    this.memory = new WebAssembly.Memory({ initial: 1, maximum });
    // Address 0 stays free: it is the address of empty storages.
    this.gaps.push({ start: ALIGNMENT, size: PAGE - ALIGNMENT });
  }

  /** Bytes in use. */
  get usedBytes(): number {
    return this.used;
  }

  /**
   * Address of `byteLength` bytes with undefined contents; typed arrays over the memory made before are detached when it grows.
   * @throws BackendError with sizes when the memory may not grow any more
   */
  allocate(byteLength: number): number {
    if (byteLength === 0) return 0;
    const size = roundUp(byteLength, ALIGNMENT);
    const at = this.findGap(size);
    const gap = this.gaps[at];
    const { start } = gap;
    gap.start += size;
    gap.size -= size;
    if (gap.size === 0) this.gaps.splice(at, 1);
    this.used += size;
    return start;
  }

  free(start: number, byteLength: number): void {
    if (byteLength === 0) return;
    const size = roundUp(byteLength, ALIGNMENT);
    this.used -= size;
    this.insertGap(start, size);
  }

  /** The first gap that is large enough, after growing the memory if none is. */
  private findGap(size: number): number {
    const found = this.gaps.findIndex((gap) => gap.size >= size);
    if (found >= 0) return found;
    const end = this.memory.buffer.byteLength;
    const last = this.gaps.at(-1);
    const tail = last && last.start + last.size === end ? last.size : 0;
    // Growing in larger and larger steps: each one detaches all typed arrays.
    const needed = Math.ceil((size - tail) / PAGE);
    const pages = this.grow(Math.max(needed, Math.ceil(end / PAGE / 2))) || this.grow(needed);
    if (!pages) throw this.outOfMemory(size);
    this.insertGap(end, pages * PAGE);
    return this.gaps.length - 1;
  }

  private grow(pages: number): number {
    try {
      this.memory.grow(pages);
      return pages;
    } catch {
      return 0;
    }
  }

  private insertGap(start: number, size: number): void {
    let low = 0;
    for (let high = this.gaps.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (this.gaps[middle].start < start) low = middle + 1;
      else high = middle;
    }
    this.gaps.splice(low, 0, { start, size });
    this.merge(low);
    if (low > 0) this.merge(low - 1);
  }

  /** Joins a gap with the next one when they touch. */
  private merge(at: number): void {
    const [gap, next] = [this.gaps[at], this.gaps[at + 1]];
    if (!next || gap.start + gap.size !== next.start) return;
    gap.size += next.size;
    this.gaps.splice(at + 1, 1);
  }

  private outOfMemory(size: number): BackendError {
    return new BackendError({
      where: 'wasm backend',
      what: 'out of memory',
      got: `${size} bytes wanted, ${this.used} in use`,
      expected: `at most ${this.limit} bytes in all`,
      hint: 'Lower the batch size or the context, or take a smaller model.',
    });
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
