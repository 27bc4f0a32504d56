import { arange, noGrad, scatterAddAlongAxis, type Tensor, zeros } from '@frugal/tensor-core';
import type { Routing } from './router.js';

/** Weights of the losses that keep experts evenly used; 0 or left out: not computed. */
export interface BalanceOptions {
  readonly switchLoss?: number;
  readonly sequenceLoss?: number;
  readonly zLoss?: number;
}

/** f32 [N, E]: 1 where a token chose an expert. Constant: choices have no gradient. */
function choices({ experts, logits }: Routing): Tensor {
  return noGrad(() => {
    const ones = zeros(experts.shape, { backend: experts.backend }).add(1);
    return scatterAddAlongAxis(experts, ones, 1, logits.shape[1]);
  });
}

/**
 * E · Σₑ fₑ Pₑ, with fₑ the choices of expert e per token and Pₑ its mean probability (Fedus et al. 2021,
 * arXiv:2101.03961, eq. 4; for k > 1 as transformers does, so balanced routing gives k). f32 [].
 */
export function switchLoss(routing: Routing): Tensor {
  const E = routing.logits.shape[1];
  const used = choices(routing).mean(0);
  return used.mul(probabilities(routing).mean(0)).sum().mul(E);
}

/**
 * Σₑ fₑ Pₑ within each sequence, averaged over sequences, with fₑ = E / (k T) · choices and Pₑ the mean normalised
 * score (DeepSeek-V3, arXiv:2412.19437, eq. 17–20): balanced routing gives 1. f32 [].
 */
export function sequenceLoss(routing: Routing, sequenceStarts: Tensor): Tensor {
  const [N, E] = routing.logits.shape;
  const k = routing.experts.shape[1];
  const S = sequenceStarts.shape[0] - 1;
  const { scores } = routing;
  const normalized = scores.div(scores.sum(1, true).add(1e-20));
  const member = noGrad(() => membership(sequenceStarts, N)); // [S, N], rows sum to 1
  const used = noGrad(() => member.matmul(choices(routing)).mul(E / k)); // [S, E]
  return used
    .mul(member.matmul(normalized))
    .sum()
    .mul(1 / S);
}

/** mean (log Σ exp logits)² per token: keeps router logits small (Zoph et al. 2022, arXiv:2202.08906, eq. 5). f32 []. */
export function zLoss({ logits }: Routing): Tensor {
  const top = logits.max(1, true).detach();
  const total = logits.sub(top).exp().sum(1, true).log().add(top);
  return total.mul(total).mean();
}

function probabilities({ logits }: Routing): Tensor {
  return logits.softmax();
}

/** f32 [S, N]: 1 / T where a row belongs to a sequence of T rows. */
function membership(starts: Tensor, rows: number): Tensor {
  const S = starts.shape[0] - 1;
  const row = arange(rows, { backend: starts.backend }).reshape(1, rows);
  const begun = starts.slice(0, 0, S).reshape(S, 1).lessEqual(row).cast('f32');
  const over = starts
    .slice(0, 1, S + 1)
    .reshape(S, 1)
    .lessEqual(row)
    .cast('f32');
  const inside = begun.sub(over);
  return inside.div(inside.sum(1, true).maximum(1));
}

/**
 * The next selection bias: raised by `rate` for experts with less than the mean load, lowered for those with more
 * (arXiv:2408.15664; DeepSeek-V3 §2.1.2 uses 0.001). bias and load f32 [E]; the load is that of a whole step, summed
 * over micro-batches and machines.
 */
export function nextSelectionBias(bias: Tensor, load: Tensor, rate: number): Tensor {
  return noGrad(() => bias.add(load.mean().sub(load).sign().mul(rate)));
}
