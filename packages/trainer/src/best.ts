import { TrainerError } from './errors.js';

/** Which evaluation is the best, and when to give up waiting for a better one. */
export interface BestOptions {
  /** Name of a metric that `evaluate.run` gives. */
  readonly metric: string;
  /** Default false, as for losses. */
  readonly higherIsBetter?: boolean;
  /** Ends the run after so many evaluations in a row that were not better. Default: never. */
  readonly patience?: number;
  /** By how much a metric must change to be better. Default 0. */
  readonly minimumChange?: number;
}

export interface BestState {
  /** Of the best evaluation so far; null before the first. */
  readonly step: number | null;
  readonly value: number | null;
  /** Evaluations since then. */
  readonly misses: number;
}

/** Follows one metric through a run. */
export class BestTracker {
  private current: BestState = { step: null, value: null, misses: 0 };

  constructor(private readonly options: BestOptions) {}

  get step(): number | null {
    return this.current.step;
  }
  /** No better evaluation has come for too long. */
  get isExhausted(): boolean {
    return this.current.misses >= (this.options.patience ?? Number.POSITIVE_INFINITY);
  }

  /** Whether these metrics are the best so far; NaN never is. @throws TrainerError when the metric is not there */
  observe(step: number, metrics: Readonly<Record<string, number>>): boolean {
    const { metric, higherIsBetter = false, minimumChange = 0 } = this.options;
    const value = metrics[metric];
    if (value === undefined) {
      throw new TrainerError({
        where: 'evaluate.best',
        what: `the evaluation gives no metric ${metric}`,
        got: Object.keys(metrics).join(', ') || 'none',
        hint: 'Name one of those.',
      });
    }
    const gain = (value - (this.current.value ?? 0)) * (higherIsBetter ? 1 : -1);
    const isBetter = this.current.value === null ? !Number.isNaN(value) : gain > minimumChange;
    this.current = isBetter
      ? { step, value, misses: 0 }
      : { ...this.current, misses: this.current.misses + 1 };
    return isBetter;
  }

  state(): BestState {
    return this.current;
  }
  restore(state: BestState): void {
    this.current = state;
  }
}
