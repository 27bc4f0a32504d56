import { type Block, type MemoryPool, sizeClassOf } from './memory.js';

/**
 * Memory of a recording. Its ops find intermediate results and constants at the same places in each run: what they give
 * back may serve later ops of the recording, but nobody else until the arena is closed.
 */
export class Arena {
  private readonly free = new Map<number, Block[]>();
  private readonly constants = new Set<Block>();
  private readonly used = new Set<Block>();

  constructor(private readonly pool: MemoryPool) {}

  /** A constant is written by the host while recording: it never serves another op. */
  take(bytes: number, constant: boolean): Block {
    const free = constant ? undefined : this.free.get(sizeClassOf(bytes).index)?.pop();
    const block = free ?? this.pool.takeOwn(bytes);
    block.arena = this;
    this.used.add(block);
    if (constant) this.constants.add(block);
    return block;
  }

  give(block: Block): void {
    this.used.delete(block);
    if (this.constants.has(block)) return;
    const list = this.free.get(block.sizeClass);
    if (list) list.push(block);
    else this.free.set(block.sizeClass, [block]);
  }

  /** From now on the block belongs to the pool, like any other; false when it was not from here. */
  release(block: Block): boolean {
    if (block.arena !== this) return false;
    this.used.delete(block);
    this.constants.delete(block);
    block.arena = null;
    return true;
  }

  /** Gives everything back to the pool; what still has an owner follows with it. */
  close(): void {
    const idle = [...this.constants].filter((block) => !this.used.has(block));
    for (const block of this.used) block.arena = null;
    for (const block of [...idle, ...[...this.free.values()].flat()]) {
      block.arena = null;
      this.pool.give(block);
    }
    for (const blocks of [this.free, this.constants, this.used]) blocks.clear();
  }
}
