import type { Addon } from './addon.js';

/** A piece of memory with a native address. */
export interface Piece {
  readonly buffer: ArrayBuffer;
  /** Aligned to a cache line; `offset` bytes into the buffer. */
  readonly address: number;
  readonly offset: number;
}

export const ALIGNMENT = 64;
const HUGE_PAGE = 2 ** 21;
const SLAB_BYTES = 8 * HUGE_PAGE;
const SMALLEST = 16 * 1024;
const LARGEST = HUGE_PAGE / 2;

/**
 * Cuts memory of middle size from slabs that lie in huge pages. A model has hundreds of weight matrices of some 100 KiB,
 * and reading them once per token costs a walk through the page tables for every 4 KiB when each has pages of its own:
 * half the speed, measured. The garbage collector frees a slab when nothing cut from it is left.
 */
export class Slabs {
  private slab: { readonly buffer: ArrayBuffer; readonly base: number; next: number } | null = null;

  constructor(
    private readonly addon: Addon,
    private readonly newBuffer: (bytes: number) => ArrayBuffer,
  ) {}

  /** Zeroed memory of at least this many bytes. */
  take(bytes: number): Piece {
    if (bytes < SMALLEST || bytes > LARGEST) return this.alone(bytes);
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    if (!this.slab || this.slab.next + size > this.slab.buffer.byteLength) this.slab = this.newSlab();
    const { buffer, base, next } = this.slab;
    this.slab.next += size;
    return { buffer, address: base + next, offset: next };
  }

  private alone(bytes: number): Piece {
    const buffer = this.newBuffer(bytes + ALIGNMENT);
    const base = this.addon.addressOf(buffer);
    const address = Math.ceil(base / ALIGNMENT) * ALIGNMENT;
    return { buffer, address, offset: address - base };
  }

  private newSlab() {
    const { buffer, address, offset } = this.alone(SLAB_BYTES);
    return { buffer, base: address - offset, next: offset };
  }
}
