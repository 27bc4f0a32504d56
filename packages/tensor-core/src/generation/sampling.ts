import { ArgumentError, NonFiniteError } from '../index.js';
import { hostUniform } from '../philox.js';

export interface SamplingOptions {
  /** 0: always the most likely token. Default 0. */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0 or absent: all. */
  readonly topK?: number;
  /** Only the most likely tokens whose probabilities reach this sum (Holtzman et al. 2019). Default 1. */
  readonly topP?: number;
  /** Only tokens at least this likely relative to the most likely one. Default 0. */
  readonly minP?: number;
  /** The same seed gives the same text. Default 0. */
  readonly seed?: number;
}

/** @throws ArgumentError naming the option that is out of range */
export function checkSampling({
  temperature = 0,
  topK = 0,
  topP = 1,
  minP = 0,
  seed = 0,
}: SamplingOptions): void {
  const check = (name: string, value: number, valid: boolean, expected: string) => {
    if (!valid)
      throw new ArgumentError({
        where: 'sampling',
        what: `${name} out of range`,
        got: String(value),
        expected,
      });
  };
  check('temperature', temperature, temperature >= 0 && Number.isFinite(temperature), '0 or more');
  check('topK', topK, Number.isInteger(topK) && topK >= 0, 'an integer, 0 or more');
  check('topP', topP, topP > 0 && topP <= 1, 'above 0, at most 1');
  check('minP', minP, minP >= 0 && minP <= 1, '0 to 1');
  check('seed', seed, Number.isSafeInteger(seed) && seed >= 0, 'an integer, 0 or more');
}

/**
 * Chooses a token from logits [V]. `index` counts the tokens of one request: draw number `index` of stream `seed`
 * decides, so the choice does not depend on what else runs. Logits of -∞ forbid a token.
 * @throws NonFiniteError when a logit is NaN or +∞, or all are forbidden
 */
export function sampleToken(logits: Float32Array, options: SamplingOptions, index: number): number {
  const { temperature = 0, topP = 1, minP = 0, seed = 0 } = options;
  requireUsable(logits, index);
  if (temperature === 0) return argMax(logits);
  const candidates = candidatesOf(logits, options);
  const top = logits[candidates[0]];
  const weights = candidates.map((id) => Math.exp((logits[id] - top) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && (kept === 0 || (mass < topP * total && weights[kept] >= minP)))
    mass += weights[kept++];
  let target = hostUniform(seed, index) * mass;
  for (let i = 0; i < kept; i++) {
    target -= weights[i];
    if (target < 0) return candidates[i];
  }
  return candidates[kept - 1];
}

function requireUsable(logits: Float32Array, index: number): void {
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (!(logit <= top)) top = Number.isNaN(top) ? top : logit;
  if (Number.isFinite(top)) return;
  throw new NonFiniteError({
    where: 'sampling',
    what: `the logits of new token ${index} are not finite`,
    got: String(top),
    hint: 'Check the weights: frugal doctor MODEL.',
  });
}

/** First index of the largest value. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Token ids, most likely first; equal logits by id. Cuts off the far tail before sorting: it cannot be drawn. */
function candidatesOf(logits: Float32Array, { temperature = 0, topK = 0 }: SamplingOptions): number[] {
  const top = logits[argMax(logits)];
  // exp(-30) of the best weight: below the resolution of a 24-bit draw even for a whole vocabulary of them.
  const floor = top - 30 * temperature;
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id] >= floor) ids.push(id);
  ids.sort((a, b) => logits[b] - logits[a] || a - b);
  return topK > 0 ? ids.slice(0, topK) : ids;
}
