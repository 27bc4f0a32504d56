import { BestTracker } from './best.js';
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
  readonly best: BestTracker | null;

  constructor(
    private readonly options: Pick<TrainOptions<unknown>, 'batches' | 'random' | 'precision' | 'evaluate'>,
  ) {
    const best = options.evaluate?.best;
    this.best = best ? new BestTracker(best) : null;
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
      ...(this.best && { best: this.best.state() }),
    };
  }

  restore({ step, updates, tokens, seconds, lossScale, batches, random, best }: TrainerState): void {
    Object.assign(this, { step, updates, tokens, seconds });
    this.lossScale.restore(lossScale);
    this.options.batches.restore(batches);
    if (best) this.best?.restore(best);
    if (random) this.options.random?.restore(random);
  }
}
