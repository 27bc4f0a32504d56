import { arange, type Tensor, tensor } from '../index.js';
import type { StepContext } from './model.js';
import type { StepBatch } from './step-batch.js';

export interface RotaryOptions {
  /** Distinguishes several tables of one model (local and global layers). */
  readonly name: string;
  /** Angle per position of each rotated pair, [R]. Scalings (linear, llama3, yarn) only change these. */
  readonly frequencies: readonly number[];
  /** Multiplies cos and sin (yarn). */
  readonly attentionFactor?: number;
  readonly interleaved?: boolean;
  readonly dynamic?: DynamicRope;
}

/**
 * Frequencies that fall once a sequence is longer than the context (dynamic NTK scaling): those of a base that is
 * (factor · length / contextLength - factor + 1)^(D / (D - 2)) times as large.
 */
export interface DynamicRope {
  readonly factor: number;
  readonly contextLength: number;
}

/** Rotary position tables. Computed once per step, before the blocks, and shared by all layers. */
export class RotaryEmbedding {
  readonly interleaved: boolean;

  constructor(private readonly options: RotaryOptions) {
    this.interleaved = options.interleaved ?? false;
  }

  /** θ^(-2i/D) for i < D/2. */
  static frequencies(headSize: number, theta: number): number[] {
    return Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize));
  }

  /** cos and sin of every row's angles, f32 [N, R]. Call it in `begin()`, so that the tables outlive inner scopes. */
  tables(context: StepContext): readonly [cos: Tensor, sin: Tensor] {
    const key = `rotary:${this.options.name}`;
    const known = context.shared.get(key);
    if (known) return known as readonly [Tensor, Tensor];
    const { positions } = context.batch;
    const frequencies = tensor(Float32Array.from(this.options.frequencies), { backend: positions.backend });
    const column = positions.cast('f32').reshape(-1, 1);
    const plain = column.mul(frequencies.reshape(1, -1)); // [N, R]
    const { dynamic } = this.options;
    const angles = dynamic ? plain.mul(this.shrinking(context.batch, dynamic)) : plain;
    const factor = this.options.attentionFactor ?? 1;
    const both = [angles.cos(), angles.sin()].map((table) => (factor === 1 ? table : table.mul(factor)));
    context.shared.set(key, both);
    return [both[0], both[1]];
  }

  /** Factor on the frequencies of each row, by how long its sequence is now. [N, R] */
  private shrinking(
    { positions, sequenceStarts }: StepBatch,
    { factor, contextLength }: DynamicRope,
  ): Tensor {
    const R = this.options.frequencies.length;
    const S = sequenceStarts.shape[0] - 1;
    const { backend } = positions;
    const last = sequenceStarts.slice(0, 1, S + 1).sub(1);
    const lengths = positions.gatherRows(last).add(1).maximum(contextLength).cast('f32'); // [S]
    const row = arange(positions.shape[0], { backend }).reshape(-1, 1);
    const sequence = sequenceStarts.slice(0, 0, S).reshape(1, S).lessEqual(row).sum(1).sub(1); // [N]
    const stretch = lengths
      .mul(factor / contextLength)
      .sub(factor - 1)
      .log();
    const exponents = Float32Array.from({ length: R }, (_, i) => (-2 * i) / (2 * R - 2));
    return stretch
      .gatherRows(sequence)
      .reshape(-1, 1)
      .mul(tensor(exponents, { backend }).reshape(1, R))
      .exp();
  }
}
