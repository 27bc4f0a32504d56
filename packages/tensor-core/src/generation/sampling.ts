import {
  ArgumentError,
  currentBackend,
  dispatch,
  NonFiniteError,
  noGrad,
  referenceBackend,
  scope,
  type Tensor,
  tensor,
} from '../index.js';
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

/** How one row of logits is sampled. `index` counts the tokens of its request: draw `index` of stream `seed` decides. */
export interface SamplingRequest {
  readonly options: SamplingOptions;
  readonly index: number;
  /** Which of the four independent draws of this token, 0 to 3. Default 0. */
  readonly attempt?: number;
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
 * Chooses a token from each row of logits f32 [M, V], on their backend: only M numbers come back to the host. The choice
 * of a row depends on nothing but its logits and its request. Logits of -∞ forbid a token.
 * @throws NonFiniteError when a logit is NaN or +∞, or all of a row are forbidden
 */
export async function sampleTokens(
  logits: Tensor,
  requests: readonly SamplingRequest[],
): Promise<readonly number[]> {
  return checked(await sampleRows(logits, requests), requests);
}

/** The same, with -1 for rows that have no token to choose. */
export async function sampleRows(
  logits: Tensor,
  requests: readonly SamplingRequest[],
): Promise<readonly number[]> {
  const tokens = choose(logits, requests);
  return Array.from(await tokens.toInt32().finally(() => tokens.dispose()));
}

/**
 * The same for logits [V] that are on the host already, at once.
 * @throws NonFiniteError as {@link sampleTokens} does
 */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  index: number,
  attempt = 0,
): number {
  const current = currentBackend();
  const backend = current.capabilities.memory === 'host' && current.readSync ? current : referenceBackend();
  const requests = [{ options, index, attempt }];
  const bytes = scope(() => {
    const tokens = choose(tensor(logits, { shape: [1, logits.length], backend }), requests);
    return backend.readSync!(tokens);
  });
  return checked([...new Int32Array(bytes.buffer, bytes.byteOffset, 1)], requests)[0];
}

function choose(logits: Tensor, requests: readonly SamplingRequest[]): Tensor {
  const settings = Float32Array.from(requests.flatMap(settingsOf));
  return noGrad(() =>
    scope(() => {
      const rows = tensor(settings, { shape: [requests.length, 5], backend: logits.backend });
      return dispatch('sample', [logits, rows], {})[0];
    }),
  );
}

function checked(ids: readonly number[], requests: readonly SamplingRequest[]): readonly number[] {
  const broken = ids.indexOf(-1);
  if (broken < 0) return ids;
  throw new NonFiniteError({
    where: 'sampling',
    what: `the logits of new token ${requests[broken].index} are not finite`,
    got: 'NaN, +∞, or nothing but -∞',
    hint: 'Check the weights: frugal doctor MODEL.',
  });
}

/** The numbers that the op `sample` reads. */
function settingsOf({ options, index, attempt }: SamplingRequest): number[] {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0 } = options;
  return [temperature, topK, topP, minP, temperature === 0 ? 0 : hostUniform(seed, index, attempt)];
}

/** First index of the largest value. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
