import type { AttentionAttributes, Storage, TensorView } from '@frugal/tensor-core';
import type { Operand } from './abi/types.js';
import type { Allocator, Block } from './allocator.js';

interface Mask {
  readonly operand: Operand;
  readonly block: Block;
}

/** Bounds of sequences as they were when masks were made of them. */
interface Source {
  readonly storage: Storage;
  readonly version: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * Masks of attention, bool [N, N]: those of one batch, which all its blocks share, forward and backward. They are given back when
 * its bounds are freed, when another batch comes, and when memory is short.
 */
export class MaskCache {
  private source: Source | null = null;
  private readonly masks = new Map<string, Mask>();
  private isInUse = false;

  constructor(private readonly allocator: Allocator) {
    allocator.spare = () => {
      if (!this.isInUse) this.clear();
    };
  }

  /** Calls `use` with the mask of `starts` [S + 1] for N tokens, which `make` fills when there is none yet. */
  with(
    starts: TensorView,
    N: number,
    { causal, window }: AttentionAttributes,
    make: (hidden: Operand) => void,
    use: (hidden: Operand) => void,
  ): void {
    if (!this.isOf(starts)) {
      this.clear();
      const { storage, offset, shape } = starts;
      this.source = { storage, version: storage.version, offset, length: shape[0] };
    }
    const key = `${N} ${causal} ${window}`;
    this.isInUse = true;
    try {
      let mask = this.masks.get(key);
      if (!mask) {
        mask = this.allocate(N);
        this.masks.set(key, mask);
        make(mask.operand);
      }
      use(mask.operand);
    } catch (error) {
      this.clear(); // it may be half made
      throw error;
    } finally {
      this.isInUse = false;
    }
  }

  /** Masks of bounds that are freed are of no use. */
  forget(storage: Storage): void {
    if (this.source?.storage === storage) this.clear();
  }

  clear(): void {
    for (const { block } of this.masks.values()) this.allocator.give(block);
    this.masks.clear();
    this.source = null;
  }

  private isOf({ storage, offset, shape }: TensorView): boolean {
    const { source } = this;
    return (
      source?.storage === storage &&
      source.version === storage.version &&
      source.offset === offset &&
      source.length === shape[0]
    );
  }

  private allocate(N: number): Mask {
    const block = this.allocator.take(N * N);
    const operand = {
      address: block.address,
      type: 'bool',
      shape: [N, N],
      strides: [N, 1],
      offset: 0,
      storage: N * N,
    } as const;
    return { block, operand };
  }
}
