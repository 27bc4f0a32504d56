import type { Addon } from './addon.js';

/** A piece of memory with a native address. */
export interface Piece {
  readonly buffer: ArrayBuffer;
  /** Aligned to a cache line; `offset` bytes into the buffer. */
  readonly address: number;
  readonly offset: number;
  /** What it was cut from; null when it has a buffer of its own. */
  readonly slab: Slab | null;
}

export const ALIGNMENT = 64;
const HUGE_PAGE = 2 ** 21;
const SLAB_BYTES = 8 * HUGE_PAGE;
const SMALLEST = 16 * 1024;
/** What is larger lies in huge pages by itself, but for its ends. */
const LARGEST = 2 * HUGE_PAGE;

/** One buffer and what of it is free: ranges in order, which never touch. */
export class Slab {
  private readonly free: { start: number; end: number }[];

  constructor(
    readonly buffer: ArrayBuffer,
    readonly base: number,
    first: number,
  ) {
    this.free = [{ start: first, end: buffer.byteLength }];
  }

  get isFull(): boolean {
    return this.free.length === 0;
  }

  /** The offset of a piece in the first range that has room, or -1. */
  take(bytes: number): number {
    const at = this.free.findIndex(({ start, end }) => end - start >= bytes);
    if (at < 0) return -1;
    const range = this.free[at];
    const offset = range.start;
    range.start += bytes;
    if (range.start === range.end) this.free.splice(at, 1);
    return offset;
  }

  give(start: number, bytes: number): void {
    const { free } = this;
    const later = free.findIndex((range) => range.start > start);
    const at = later < 0 ? free.length : later;
    const [before, after] = [free[at - 1], free[at]];
    const end = start + bytes;
    if (before?.end === start && after?.start === end) {
      before.end = after.end;
      free.splice(at, 1);
    } else if (before?.end === start) before.end = end;
    else if (after?.start === end) after.start = start;
    else free.splice(at, 0, { start, end });
  }
}

/**
 * Cuts memory of middle size from slabs that lie in huge pages. A model has hundreds of weight matrices of some 100 KiB,
 * and reading them once per token costs a walk through the page tables for every 4 KiB when each has pages of its own:
 * half the speed, measured. The garbage collector frees a slab when nothing cut from it is left.
 */
export class Slabs {
  /** Those that may have room. What lies in them keeps them alive, so that nothing is held for pieces that were lost. */
  private readonly open = new Set<WeakRef<Slab>>();

  constructor(
    private readonly addon: Addon,
    private readonly newBuffer: (bytes: number) => ArrayBuffer,
  ) {}

  take(bytes: number): Piece {
    if (bytes < SMALLEST || bytes > LARGEST) return { ...this.alone(bytes), slab: null };
    const size = aligned(bytes);
    for (const reference of this.open) {
      const slab = reference.deref();
      const offset = slab?.take(size) ?? -1;
      if (!slab || slab.isFull) this.open.delete(reference);
      if (slab && offset >= 0) return pieceOf(slab, offset);
    }
    const { buffer, address, offset } = this.alone(SLAB_BYTES);
    const slab = new Slab(buffer, address - offset, offset);
    this.open.add(new WeakRef(slab));
    return pieceOf(slab, slab.take(size));
  }

  /** Nobody uses the piece of `bytes` any more. */
  give({ slab, offset }: Piece, bytes: number): void {
    if (!slab) return; // its buffer goes with it
    if (slab.isFull) this.open.add(new WeakRef(slab));
    slab.give(offset, aligned(bytes));
  }

  private alone(bytes: number): Omit<Piece, 'slab'> {
    const buffer = this.newBuffer(bytes + ALIGNMENT);
    const base = this.addon.addressOf(buffer);
    const address = Math.ceil(base / ALIGNMENT) * ALIGNMENT;
    return { buffer, address, offset: address - base };
  }
}

function pieceOf(slab: Slab, offset: number): Piece {
  return { buffer: slab.buffer, address: slab.base + offset, offset, slab };
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
