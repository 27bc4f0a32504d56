import type { LocalUpdateOptions } from './options.js';

/**
 * Whether ranks that train by themselves exchange what they learned after this step: at every multiple of `steps`, at the end, and
 * where rounds grow, more often early in the run. Of n stretches of `steps` steps, the one after k others is n / (2 k + 1)
 * rounds: they are in proportion to the steps before them, and whole from a third of the run on.
 * A function of nothing but the step, so that runs that are resumed meet where others do.
 * @param step counted from 1
 * @param total steps of the run
 */
export function endsRound(
  step: number,
  { steps, rounds = 'growing' }: LocalUpdateOptions,
  total: number,
): boolean {
  if (step === total || step % steps === 0) return true;
  if (rounds === 'even') return false;
  const stretch = Math.floor(step / steps);
  const parts = Math.max(1, Math.min(steps, Math.round(total / steps / (2 * stretch + 1))));
  const done = (within: number) => Math.floor((within * parts) / steps);
  return done(step % steps) > done((step % steps) - 1);
}
