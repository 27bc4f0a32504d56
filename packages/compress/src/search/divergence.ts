import { keep, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import type { CausalLM, Output } from '@frugal/tensor-core/nn';
import { CalibrationWalk } from '../calibration.js';

/** Log-probabilities that the original's predictions may take, in numbers: 64 MB. */
const KEPT_NUMBERS = 2 ** 24;
const MOST_ROWS_OF_SEQUENCE = 64;

/**
 * How far a changed model's predictions are from the original's: the mean Kullback-Leibler divergence KL(original ‖ changed)
 * in nats, at evenly spread positions of some sequences. Unlike a difference of losses it is never negative, and it is far
 * less noisy for small changes.
 */
export class Divergence {
  private readonly reference: Tensor[];
  /** Of one sequence: i32 [R]. */
  private readonly rows: Tensor[];
  private readonly count: number;

  /** The model must be the original at this point. */
  constructor(
    private readonly model: CausalLM,
    private readonly sequences: readonly ArrayLike<number>[],
  ) {
    const { vocabularySize } = model;
    const backend = model.parameters()[0]?.value.backend;
    const most = Math.max(1, Math.floor(KEPT_NUMBERS / vocabularySize / sequences.length));
    this.rows = sequences.map(({ length }) => {
      const count = Math.min(length, most, MOST_ROWS_OF_SEQUENCE);
      const spread = Int32Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * length) / count));
      return keep(tensor(spread, { backend }));
    });
    this.count = this.rows.reduce((sum, { size }) => sum + size, 0);
    const walk = new CalibrationWalk(model, sequences);
    try {
      this.reference = walk.outputs(0, (output, s) => this.logProbabilities(model, output, s));
    } finally {
      walk.dispose();
    }
  }

  /** Of the model as it is now, from a walk over the same sequences that has reached block `index`. */
  async after(walk: CalibrationWalk, index: number, model = this.model): Promise<number> {
    const sums = walk.outputs(index, (output, s) => {
      const before = this.reference[s];
      return before
        .exp()
        .mul(before.sub(this.logProbabilities(model, output, s)))
        .sum();
    });
    let total = 0;
    for (const sum of sums) {
      total += await sum.item();
      sum.dispose();
    }
    return Math.max(0, total / this.count);
  }

  /** Of the model as it is now, or of another one with the same vocabulary, from the tokens on. */
  async now(model = this.model): Promise<number> {
    const walk = new CalibrationWalk(model, this.sequences);
    try {
      return await this.after(walk, 0, model);
    } finally {
      walk.dispose();
    }
  }

  dispose(): void {
    for (const held of [...this.reference, ...this.rows]) held.dispose();
  }

  private logProbabilities({ head }: CausalLM, { hidden }: Output, sequence: number): Tensor {
    return scope(() =>
      noGrad(() => head.forward(hidden.gatherRows(this.rows[sequence])).cast('f32').logSoftmax()),
    );
  }
}
