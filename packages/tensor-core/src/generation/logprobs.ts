/** Log probabilities by token id. */
export interface Logprobs {
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** log softmax of logits [V] at `token`, and at the `count` most likely tokens (equal ones by id). */
export function logprobsOf(logits: Float32Array, token: number, count: number): Logprobs {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > largest) largest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  const normalizer = largest + Math.log(sum);
  const entry = (id: number) => ({ id, logprob: logits[id] - normalizer });
  return { ...entry(token), top: mostLikely(logits, count).map(entry) };
}

function mostLikely(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let id = 0; id < logits.length; id++) {
    if (best.length === count && logits[id] <= logits[best[count - 1]]) continue;
    const at = best.findIndex((other) => logits[id] > logits[other]);
    best.splice(at < 0 ? best.length : at, 0, id);
    best.length = Math.min(best.length, count);
  }
  return best;
}
