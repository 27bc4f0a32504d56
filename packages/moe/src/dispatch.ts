import { arange, concat, noGrad, ones, scatterAddRows, sort, type Tensor, zeros } from '@frugal/tensor-core';
import type { Routing } from './router.js';

/** Rows ordered by expert, for grouped products: every choice of every token, none dropped. */
export interface Dispatch {
  /** i32 [N · k]: token of each dispatched row; ascending within an expert. */
  readonly tokens: Tensor;
  /** i32 [N · k]: which of the N · k choices each dispatched row is. */
  readonly order: Tensor;
  /** i32 [E + 1]: rows of expert e are offsets[e] … offsets[e + 1] - 1. */
  readonly offsets: Tensor;
  /** f32 [E]: how many rows each expert gets. */
  readonly load: Tensor;
}

/** Sorts the choices by expert, on the device: nothing is read back. */
export function dispatchRows({ experts }: Pick<Routing, 'experts'>, expertCount: number): Dispatch {
  const [N, k] = experts.shape;
  const { backend } = experts;
  return noGrad(() => {
    const chosen = experts.reshape(-1);
    const { indices: order } = sort(chosen); // stable: tokens stay in order within an expert
    const tokenOfChoice = arange(N, { backend }).reshape(N, 1).expand(N, k).reshape(-1);
    const load = scatterAddRows(chosen, ones([N * k], { backend }), expertCount);
    const ends = load.cumulativeSum().cast('i32');
    return {
      tokens: tokenOfChoice.gatherRows(order),
      order,
      offsets: concat([zeros([1], { dtype: 'i32', backend }), ends]),
      load,
    };
  });
}

/** Results [N · k, C] of the dispatched rows, weighted and added up per token: [N, C] in their dtype, summed in f32. */
export function combineRows(results: Tensor, { tokens, order }: Dispatch, weights: Tensor): Tensor {
  const weight = weights.reshape(-1).gatherRows(order).reshape(-1, 1);
  return scatterAddRows(tokens, results.cast('f32').mul(weight), weights.shape[0]).cast(results.dtype);
}

/**
 * How much each expert adds: the sum over its rows of weight · ‖result‖, f32 [E] (the numerator of REAP, Lasby et al. 2025,
 * arXiv:2510.13999; the load is its denominator).
 */
export function salienceOf(
  results: Tensor,
  { order }: Pick<Dispatch, 'order'>,
  { experts, weights, scores }: Pick<Routing, 'experts' | 'weights' | 'scores'>,
): Tensor {
  return noGrad(() => {
    const wide = results.detach().cast('f32');
    const norms = wide.mul(wide).sum(1).sqrt(); // [N · k]
    const weight = weights.detach().reshape(-1).gatherRows(order);
    const expert = experts.reshape(-1).gatherRows(order);
    return scatterAddRows(expert, norms.mul(weight), scores.shape[1]);
  });
}
