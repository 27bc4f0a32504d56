/**
 * The share of zeros after a step of a gradual schedule: from `start` to `final` within `steps`, fast at first (Zhu & Gupta
 * 2017, arXiv:1710.01878): final + (start - final) · (1 - step / steps)³.
 */
export function gradualSparsity(
  step: number,
  { start, final, steps }: { readonly start: number; readonly final: number; readonly steps: number },
): number {
  const left = Math.max(0, 1 - step / steps);
  return final + (start - final) * left ** 3;
}
