/** Learning rate of a step; steps count from 0. Pure: a run can be resumed at any step. */
export type Schedule = (step: number) => number;

export interface ScheduleOptions {
  /** The largest learning rate. */
  readonly peak: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps of linear rise at the start: step s has the rate peak · s / warmup. Default 0. */
  readonly warmup?: number;
  /** Learning rate at the end. Default 0. */
  readonly final?: number;
}

/** Stays at the peak. */
export function constant(options: Omit<ScheduleOptions, 'steps' | 'final'>): Schedule {
  return warmedUp(options, () => options.peak);
}

/** Falls on a straight line. */
export function linear(options: ScheduleOptions): Schedule {
  return warmedUp(options, fall(options, options.warmup ?? 0, straight));
}

/** Falls along half a cosine (Loshchilov & Hutter 2017). */
export function cosine(options: ScheduleOptions): Schedule {
  return warmedUp(options, fall(options, options.warmup ?? 0, halfCosine));
}

export interface WarmupStableDecayOptions extends ScheduleOptions {
  /** Steps at the end in which the rate falls. */
  readonly decay: number;
  /** How it falls. Default linear. */
  readonly shape?: 'linear' | 'cosine';
}

/**
 * Warm-up, stable, decay (Hu et al. 2024, arXiv:2404.06395): falls in the last steps only, so that the stable part
 * can be continued with more data.
 */
export function warmupStableDecay(options: WarmupStableDecayOptions): Schedule {
  const { steps, decay, shape = 'linear' } = options;
  return warmedUp(options, fall(options, steps - decay, shape === 'cosine' ? halfCosine : straight));
}

/** By name, for configs. */
export const schedules = { constant, linear, cosine, 'warmup-stable-decay': warmupStableDecay } as const;

function warmedUp({ peak, warmup = 0 }: Pick<ScheduleOptions, 'peak' | 'warmup'>, after: Schedule): Schedule {
  return (step) => (step < warmup ? (peak * step) / warmup : after(step));
}

/** From the peak at step `from` to the final rate at the end; `curve` goes from 1 at 0 to 0 at 1. */
function fall(
  { peak, steps, final = 0 }: ScheduleOptions,
  from: number,
  curve: (progress: number) => number,
): Schedule {
  return (step) => {
    const progress = Math.min(1, Math.max(0, (step - from) / Math.max(1, steps - from)));
    return final + (peak - final) * curve(progress);
  };
}

function straight(progress: number): number {
  return 1 - progress;
}

function halfCosine(progress: number): number {
  return (1 + Math.cos(Math.PI * progress)) / 2;
}
