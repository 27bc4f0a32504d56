import { type Backend, BackendError, Storage } from '@frugal/tensor-core';
import type { Addon, MappedFile } from './addon.js';
import type { Arena } from './arena.js';
import type { CpuRecording } from './recording.js';
import { ALIGNMENT, type Piece, Slabs } from './slabs.js';

/** V8-owned memory with a native address: the garbage collector frees it even inside a synchronous loop. */
export interface Block extends Piece {
  readonly sizeClass: number;
  readonly capacity: number;
  /** The recording that keeps this memory for itself. */
  arena: Arena | null;
}

/** Memory that kernels reach by its address. */
export abstract class CpuStorage extends Storage {
  /** Recordings that read it wherever it lies now: they end with it. */
  recordings: Set<CpuRecording> | null = null;
  abstract readonly address: number;
  /** Bytes from `address` on that belong to it; those behind its own may serve others before and after it. */
  abstract readonly capacity: number;
  /** The bytes from `start` on, sharing memory. */
  abstract bytes(start: number, length: number): Uint8Array<ArrayBuffer>;
}

export class PooledStorage extends CpuStorage {
  readonly address: number;

  constructor(
    backend: Backend,
    byteLength: number,
    readonly block: Block,
  ) {
    super(backend, byteLength);
    this.address = block.address;
  }

  get capacity(): number {
    return this.block.capacity;
  }

  bytes(start: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.block.buffer, this.block.offset + start, length);
  }
}

/** No ArrayBuffer is larger than 4 GiB: files are seen through windows of that size that overlap by half. Half fits anywhere. */
const WINDOW_BYTES = 2 ** 31;

/** A file's bytes as they lie on disk; pages are read when touched. */
export class MappedStorage extends CpuStorage {
  readonly address: number;
  private readonly windows = new Map<number, ArrayBuffer>();

  constructor(
    backend: Backend,
    private readonly addon: Addon,
    private readonly file: MappedFile,
  ) {
    super(backend, file.byteLength);
    this.address = file.address;
  }

  bytes(start: number, length: number): Uint8Array<ArrayBuffer> {
    const index = Math.floor(start / WINDOW_BYTES);
    const first = index * WINDOW_BYTES;
    let window = this.windows.get(index);
    if (!window) {
      const rest = this.file.byteLength - first;
      window = this.addon.mappedBytes(this.file.handle, first, Math.min(2 * WINDOW_BYTES, rest));
      this.windows.set(index, window);
    }
    return new Uint8Array(window, start - first, length);
  }

  get capacity(): number {
    return this.byteLength;
  }

  override discard(byteOffset: number, byteLength: number, { cached = false } = {}): void {
    this.addon.discardPages(this.file.handle, byteOffset, byteLength, cached);
  }

  override prefetch(byteOffset: number, byteLength: number): void {
    this.addon.prefetchPages(this.file.handle, byteOffset, byteLength);
  }
}

const SMALL_BYTES = 1024;
const SMALL_CLASSES = SMALL_BYTES / ALIGNMENT;
/** Free memory that is always kept. */
const SPARE_BYTES = 64 * 2 ** 20;
/** After so many allocations, what was needed before the last so many no longer counts. */
const EPOCH = 2 ** 16;

/** Sizes share free lists in steps of 64 bytes up to 1 KiB, above in eight steps per power of two. */
export function sizeClassOf(bytes: number): { readonly index: number; readonly capacity: number } {
  if (bytes <= SMALL_BYTES) {
    const index = Math.max(1, Math.ceil(bytes / ALIGNMENT));
    return { index, capacity: index * ALIGNMENT };
  }
  let power = Math.floor(Math.log2(bytes - 1));
  if (2 ** power >= bytes) power--; // log2 may round up
  const step = 2 ** (power - 3);
  const steps = Math.ceil(bytes / step); // 9 to 16
  return { index: SMALL_CLASSES + (power - 10) * 8 + (steps - 8), capacity: steps * step };
}

interface FreeList {
  readonly blocks: Block[];
  lastUse: number;
}

/**
 * Keeps the memory of freed tensors for the next ones of the same size class, so that a loop that repeats its sizes
 * allocates nothing: fresh memory costs a page fault per 4 KiB. Holds a quarter more than was lately in use at once, for
 * size classes that take turns, but at least 64 MiB; beyond that the sizes that were not used for longest go first.
 */
export class MemoryPool {
  private readonly lists: FreeList[] = [];
  private clock = 0;
  private liveBytes = 0;
  private peakBytes = 0;
  /** The most in use at once since the last epoch began, and in the one before. */
  private recentPeak = 0;
  private formerPeak = 0;
  private freeBytes = 0;
  /** Gives out all memory, while not null. */
  arena: Arena | null = null;

  private readonly slabs: Slabs;

  constructor(addon: Addon) {
    this.slabs = new Slabs(addon, (bytes) => this.newBuffer(bytes));
  }

  /** Bytes in use, most bytes that were ever in use, and bytes kept for reuse. */
  usage(): { readonly liveBytes: number; readonly peakBytes: number; readonly freeBytes: number } {
    return { liveBytes: this.liveBytes, peakBytes: this.peakBytes, freeBytes: this.freeBytes };
  }

  /** `constant`: written by the host now, and read by all runs of a recording that is being made. */
  take(bytes: number, constant = false): Block {
    return this.arena ? this.arena.take(bytes, constant) : this.takeOwn(bytes);
  }

  /** Memory for an arena. */
  takeOwn(bytes: number): Block {
    const { index, capacity } = sizeClassOf(bytes);
    const list = this.listOf(index);
    list.lastUse = ++this.clock;
    if (this.clock % EPOCH === 0) this.beginEpoch();
    const free = list.blocks.pop();
    if (free) this.freeBytes -= capacity;
    const block = free ?? this.create(index, capacity);
    this.liveBytes += capacity;
    if (this.liveBytes > this.recentPeak) this.recentPeak = this.liveBytes;
    if (this.liveBytes > this.peakBytes) this.peakBytes = this.liveBytes;
    return block;
  }

  give(block: Block): void {
    if (block.arena) {
      block.arena.give(block);
      return;
    }
    const list = this.listOf(block.sizeClass);
    list.blocks.push(block);
    this.liveBytes -= block.capacity;
    this.freeBytes += block.capacity;
    const limit = this.freeLimit();
    if (this.freeBytes > limit) this.trim(limit);
  }

  /** Lets the garbage collector have free blocks until at most `limit` bytes are kept. */
  trim(limit = 0): void {
    const oldest = this.lists.filter((list) => list.blocks.length > 0).sort((a, b) => a.lastUse - b.lastUse);
    for (const { blocks } of oldest) {
      while (this.freeBytes > limit && blocks.length > 0) {
        const block = blocks.pop() as Block;
        this.freeBytes -= block.capacity;
        this.slabs.give(block, block.capacity);
      }
    }
  }

  private freeLimit(): number {
    const kept = 1.25 * Math.max(this.recentPeak, this.formerPeak);
    return Math.max(kept - this.liveBytes, SPARE_BYTES);
  }

  private beginEpoch(): void {
    this.formerPeak = this.recentPeak;
    this.recentPeak = this.liveBytes;
    this.trim(this.freeLimit());
  }

  private listOf(index: number): FreeList {
    let list = this.lists[index];
    if (!list) {
      // No holes: arrays with holes are slow.
      while (this.lists.length <= index) this.lists.push({ blocks: [], lastUse: 0 });
      list = this.lists[index];
    }
    return list;
  }

  private create(sizeClass: number, capacity: number): Block {
    return { ...this.slabs.take(capacity), sizeClass, capacity, arena: null };
  }

  private newBuffer(bytes: number): ArrayBuffer {
    try {
      return new ArrayBuffer(bytes);
    } catch {
      this.trim();
    }
    try {
      return new ArrayBuffer(bytes);
    } catch (cause) {
      throw new BackendError({
        where: 'backend-cpu',
        what: 'out of memory',
        got: `${bytes} bytes more, with ${this.liveBytes} in use`,
        hint: 'Use a smaller batch, or free tensors with scope() and dispose().',
        cause,
      });
    }
  }
}
