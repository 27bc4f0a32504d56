import { type Backend, dispatch, keep, type Tensor, tensor, zeros } from '@frugal/tensor-core';
import { AdamW, type AdamWOptions, adamwGroups, adamwRates } from './adamw.js';
import { dynamicMap } from './dynamic-map.js';
import type { NamedParameter, Optimizer, Update } from './optimizer.js';
import { type SlotMember, SlotOptimizer } from './slots.js';

export interface AdamW8bitOptions extends AdamWOptions {
  /** Elements that share a scale. Default 256. */
  readonly blockSize?: number;
  /** Smaller parameters (norms, biases) keep their moments in f32, as there is little to save. Default 4096 elements. */
  readonly minimumSize?: number;
}

/**
 * AdamW with both moments in 8 bits: 2 bytes per parameter instead of 8 (Dettmers et al. 2021, arXiv:2110.02861).
 * Each block is scaled by its largest magnitude and rounded to the nearest number of a dynamic map. Unlike
 * bitsandbytes, a positive second moment is never rounded down to 0, so that a small gradient after larger ones
 * is not divided by next to nothing. Deterministic; its state is saved as it is.
 */
export class AdamW8bit implements Optimizer {
  private readonly small: AdamW;
  private readonly large: BlockwiseAdamW;
  private readonly minimumSize: number;

  constructor({ blockSize = 256, minimumSize = 4096, ...options }: AdamW8bitOptions = {}) {
    this.small = new AdamW(options);
    this.large = new BlockwiseAdamW(options, blockSize);
    this.minimumSize = minimumSize;
  }

  step(parameters: readonly NamedParameter[], update: Update): void {
    const isSmall = ({ parameter }: NamedParameter) => parameter.value.size < this.minimumSize;
    this.small.step(parameters.filter(isSmall), update);
    this.large.step(
      parameters.filter((named) => !isSmall(named)),
      update,
    );
  }

  state(): ReadonlyMap<string, Tensor> {
    return new Map([...this.small.state(), ...this.large.state()]);
  }

  load(state: ReadonlyMap<string, Tensor>): void {
    const isSmall = (name: string) => /:(first|second)$/.test(name);
    this.small.load(new Map([...state].filter(([name]) => isSmall(name))));
    this.large.load(new Map([...state].filter(([name]) => !isSmall(name))));
  }

  dispose(): void {
    this.small.dispose();
    this.large.dispose();
  }
}

/** Codes u8 [blocks, G] and scales f32 [blocks] of both moments. */
class BlockwiseAdamW extends SlotOptimizer {
  private readonly maps = new Map<Backend, readonly Tensor[]>();

  constructor(
    private readonly options: AdamWOptions,
    private readonly blockSize: number,
  ) {
    super(['firstCodes', 'firstScales', 'secondCodes', 'secondScales']);
  }

  /** A scale of 0 makes all codes of a block 0. */
  protected override createSlot(slot: string, { size, backend }: Tensor): Tensor {
    const blocks = Math.ceil(size / this.blockSize);
    return slot.endsWith('Codes')
      ? zeros([blocks, this.blockSize], { dtype: 'u8', backend })
      : zeros([blocks], { backend });
  }

  protected override updateAll(members: readonly SlotMember[], update: Update): void {
    const { scale, finite } = update;
    for (const { members: part, tensors, copies } of adamwGroups(members)) {
      const shared = [scale, finite, ...this.mapsOn(part[0].value)];
      dispatch('adamw8bit', [...tensors, ...shared], { ...adamwRates(this.options, update), copies });
      if (copies) for (const { parameter } of part) parameter.copyWasWritten();
    }
  }

  override dispose(): void {
    super.dispose();
    for (const map of [...this.maps.values()].flat()) map.dispose();
    this.maps.clear();
  }

  /** f32 [256] each, of the first and the second moment. */
  private mapsOn({ backend }: Tensor): readonly Tensor[] {
    const maps =
      this.maps.get(backend) ??
      [true, false].map((signed) => keep(tensor(dynamicMap({ signed }), { backend })));
    this.maps.set(backend, maps);
    return maps;
  }
}
