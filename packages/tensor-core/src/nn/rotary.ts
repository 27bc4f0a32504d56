import { type Tensor, tensor } from '../index.js';
import type { StepContext } from './model.js';

export interface RotaryOptions {
  /** Distinguishes several tables of one model (local and global layers). */
  readonly name: string;
  /** Angle per position of each rotated pair, [R]. Scalings (linear, llama3, yarn) only change these. */
  readonly frequencies: readonly number[];
  /** Multiplies cos and sin (yarn). */
  readonly attentionFactor?: number;
  readonly interleaved?: boolean;
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
    const angles = positions.cast('f32').reshape(-1, 1).mul(frequencies.reshape(1, -1)); // [N, R]
    const factor = this.options.attentionFactor ?? 1;
    const both = [angles.cos(), angles.sin()].map((table) => (factor === 1 ? table : table.mul(factor)));
    context.shared.set(key, both);
    return [both[0], both[1]];
  }
}
