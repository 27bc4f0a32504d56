import { type Tensor, where } from '@frugal/tensor-core';

/** exp(x) - 1 without the loss of digits near 0: 2t / (1 - t) with t = tanh(x / 2) there. */
export function expm1(x: Tensor): Tensor {
  const t = x.mul(0.5).tanh();
  const near = t.mul(2).div(t.neg().add(1));
  return where(x.abs().less(1), near, x.exp().sub(1));
}

/** log(1 + x) without the loss of digits near 0: what u = 1 + x rounds away, x / (u - 1) brings back (Kahan). */
export function log1p(x: Tensor): Tensor {
  const u = x.add(1);
  const rounded = u.sub(1);
  return where(rounded.equal(0), x, u.log().mul(x).div(rounded));
}

/** log Σ exp over the last axis, which stays with size 1. */
export function logSumExp(x: Tensor): Tensor {
  const top = x.max(-1, true).detach();
  return x.sub(top).exp().sum(-1, true).log().add(top);
}

/** [M] → [M, 1]. */
export function column(x: Tensor): Tensor {
  return x.reshape(-1, 1);
}
