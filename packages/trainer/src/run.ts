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

  private before: Pick<TrainerState, 'step' | 'updates' | 'batches' | 'random'> | null = null;

  constructor(
    private readonly options: Pick<TrainOptions<unknown>, 'batches' | 'random' | 'precision' | 'evaluate'>,
  ) {
    const best = options.evaluate?.best;
    this.best = best ? new BestTracker(best) : null;
    this.lossScale = new LossScale(options.precision === 'f16');
  }

  /** Counts the next step; {@link undo} takes it back as long as it has changed nothing. */
  begin(): void {
    const { batches, random } = this.options;
    const { step, updates } = this;
    this.before = { step, updates, batches: batches.state(), random: random?.state() ?? null };
    this.step++;
    this.updates++;
  }

  /** The step that was begun last has not been: its batches will be drawn again. */
  undo(): void {
    if (!this.before) return;
    const { step, updates, batches, random } = this.before;
    Object.assign(this, { step, updates });
    this.options.batches.restore(batches);
    if (random) this.options.random?.restore(random);
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
