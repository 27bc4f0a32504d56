/**
 * McNemar's exact test: the probability, if both models were equally good, of a split of the `gained + lost` items on which
 * they differ that is at least as uneven as this one. Two-sided, from the binomial distribution with p = 1/2.
 */
export function mcnemar(gained: number, lost: number): number {
  const n = gained + lost;
  if (n === 0) return 1;
  const k = Math.min(gained, lost);
  let tail = 0;
  let logTerm = -n * Math.LN2; // log C(n, 0) / 2^n
  for (let i = 0; i <= k; i++) {
    if (i > 0) logTerm += Math.log((n - i + 1) / i);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}
