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
  const { peak, final = 0 } = options;
  return warmedUp(options, (step) => final + (peak - final) * (1 - progress(step, options)));
}

/** Falls along half a cosine (Loshchilov & Hutter 2017). */
export function cosine(options: ScheduleOptions): Schedule {
  const { peak, final = 0 } = options;
  return warmedUp(options, (step) => final + ((peak - final) * (1 + Math.cos(Math.PI * progress(step, options)))) / 2);
}

/**
 * Warm-up, stable, decay (Hu et al. 2024, MiniCPM): stays at the peak and falls on a straight line over the last
 * `decay` steps, so that the stable part can be continued with more data.
 */
export function warmupStableDecay(options: ScheduleOptions & { readonly decay: number }): Schedule {
  const { peak, steps, decay, final = 0 } = options;
  return warmedUp(options, (step) => final + (peak - final) * Math.min(1, Math.max(0, (steps - step) / decay)));
}

/** By name, for configs. */
export const schedules = { constant, linear, cosine, 'warmup-stable-decay': warmupStableDecay } as const;

function warmedUp({ peak, warmup = 0 }: Pick<ScheduleOptions, 'peak' | 'warmup'>, after: Schedule): Schedule {
  return (step) => (step < warmup ? (peak * step) / warmup : after(step));
}

/** From 0 at the end of the warm-up to 1 at the end of the run. */
function progress(step: number, { steps, warmup = 0 }: ScheduleOptions): number {
  return Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
}
