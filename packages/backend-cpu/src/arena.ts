import { type Block, type MemoryPool, sizeClassOf } from './memory.js';

/**
 * Memory of a recording while it is made: what its ops give back serves later ops of the recording only. Then `settle`
 * leaves it its constants, which its ops find at the same places in each run.
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

  /** The memory of intermediate results, which means nothing between two runs. */
  get scratch(): readonly Block[] {
    return [...this.free.values()].flat();
  }

  /** The recording is made: all but constants goes back to the pool, now or with its owner. */
  settle(): void {
    for (const block of this.used) if (!this.constants.has(block)) this.release(block);
    for (const block of this.scratch) this.giveBack(block);
    this.free.clear();
  }

  /** Gives everything back to the pool; what still has an owner follows with it. */
  close(): void {
    this.settle();
    for (const block of this.constants) {
      if (this.used.has(block)) block.arena = null;
      else this.giveBack(block);
    }
    this.constants.clear();
    this.used.clear();
  }

  private giveBack(block: Block): void {
    block.arena = null;
    this.pool.give(block);
  }
}
