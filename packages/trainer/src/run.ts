import type { TrainerState } from './checkpoints.js';
import type { TrainOptions } from './options.js';
import { LossScale } from './precision.js';

/** Where a run stands. */
export class Run {
  step = 0;
  updates = 0;
  tokens = 0;
  seconds = 0;
  readonly lossScale: LossScale;

  constructor(private readonly options: Pick<TrainOptions<unknown>, 'batches' | 'random' | 'precision'>) {
    this.lossScale = new LossScale(options.precision === 'f16');
  }

  state(): TrainerState {
    const { step, updates, tokens, seconds } = this;
    const { batches, random } = this.options;
    const lossScale = this.lossScale.state();
    return {
      version: 1,
      step,
      updates,
      tokens,
      seconds,
      lossScale,
      batches: batches.state(),
      random: random?.state() ?? null,
    };
  }

  restore({ step, updates, tokens, seconds, lossScale, batches, random }: TrainerState): void {
    Object.assign(this, { step, updates, tokens, seconds });
    this.lossScale.restore(lossScale);
    this.options.batches.restore(batches);
    if (random) this.options.random?.restore(random);
  }
}
